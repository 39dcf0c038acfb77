import BerthMemory
import Glibc

/// Pages brought together, as digests of several are made at once.
@safe
final class PageBatch {
    /// 64 KiB: enough for digests of several, and nothing that takes the system time to give out.
    private static let pageCount = 16
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: pageCount * targetPageByteCount,
        alignment: 64
    )

    deinit {
        unsafe buffer.deallocate()
    }

    /// Visits a run in parts of up to 16 pages that lie together.
    ///
    /// - Parameter body: gets the offset in the block of a part's first page, and the part.
    func visit<Failure>(
        _ run: DataRun,
        _ body: (Int, UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        var offset = run.offset
        var gathered = 0
        for index in unsafe run.pieces.indices {
            let piece = unsafe UnsafeRawBufferPointer(
                start: run.pieces[index].iov_base,
                count: run.pieces[index].iov_len
            )
            var done = 0
            while done < piece.count {
                let count = unsafe min(piece.count - done, buffer.count - gathered)
                let part = unsafe UnsafeRawBufferPointer(rebasing: piece[done..<done + count])
                done += count
                if gathered == 0, unsafe count == buffer.count {
                    unsafe try body(offset, part)
                    offset += count
                    continue
                }
                unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[gathered...])
                    .copyMemory(from: part)
                gathered += count
                if unsafe gathered == buffer.count {
                    unsafe try body(offset, UnsafeRawBufferPointer(buffer))
                    offset += gathered
                    gathered = 0
                }
            }
        }
        guard gathered > 0 else { return }
        unsafe try body(offset, UnsafeRawBufferPointer(rebasing: buffer[..<gathered]))
    }
}
