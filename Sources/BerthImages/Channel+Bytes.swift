import BerthTransport

extension Channel {
    /// Some bytes of a file, fewer if it ends before.
    ///
    /// - Parameter byteCount: bounded by who calls; so many are allocated if the file has them.
    @available(*, noasync)
    func readBytes(at offset: UInt64, byteCount: Int) throws(ImageError) -> [UInt8] {
        let rest = (self.byteCount ?? 0).subtractingReportingOverflow(offset)
        guard !rest.overflow else { return [] }
        let count = min(byteCount, Int(clamping: rest.partialValue))
        do throws(TransportError) {
            var bytes = [UInt8](repeating: 0, count: count)
            let read = try unsafe bytes.withUnsafeMutableBufferPointer {
                buffer throws(TransportError) in
                unsafe try self.read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
            }
            return read == count ? bytes : Array(bytes.prefix(read))
        } catch {
            throw ImageError(error)
        }
    }

    /// Writes bytes at a place of a file.
    @available(*, noasync)
    func writeBytes(_ bytes: [UInt8], at offset: UInt64) throws(ImageError) {
        do throws(TransportError) {
            try unsafe bytes.withUnsafeBufferPointer { buffer throws(TransportError) in
                unsafe try write(at: offset, UnsafeRawBufferPointer(buffer))
            }
        } catch {
            throw ImageError(error)
        }
    }
}
