import BerthStream
import BerthSystem
import BerthTransport
import BerthWire

extension GuestImage {
    /// Looks whether the image is sealed, and has it compared with its seal.
    ///
    /// - Parameters:
    ///   - checksContent: false takes the image as one that isn't sealed: what is made of it must
    ///     not look as if it had been checked.
    ///   - progress: called now and then.
    /// - Returns: how its pages were summed up; nil if it isn't sealed.
    /// - Throws: `ImageError` that names the first fault.
    @available(*, noasync)
    func checkSeal(
        _ checksContent: Bool,
        _ progress: ((StreamProgress) -> Void)?
    ) throws(ImageError) -> IntegrityAlgorithm? {
        guard compression == nil, checksContent else { return nil }
        let seal: Seal?
        do {
            seal = try Seal.find(in: try openFile())
        } catch let error as StreamError {
            throw ImageError(
                "checking '\(path)': \(error)",
                hint: "the image itself may be whole: --no-check takes it as it is",
                offset: error.offset,
                cause: error
            )
        } catch let error as ImageError {
            throw error
        } catch {
            throw ImageError("\(error)")
        }
        guard let seal else { return nil }
        var verifier = ImageVerifier(path: path)
        verifier.progress = progress
        let report = try verifier.verify()
        guard let fault = report.faults.first else { return seal.algorithm }
        throw ImageError(
            "'\(path)' isn't what was sealed: \(fault.what)",
            hint: "'berth verify' lists all faults; --no-check takes the image as it is",
            offset: fault.offset
        )
    }

    /// Where a seal begins that has no end mark: writing it was interrupted, or its end is lost.
    ///
    /// - Parameter end: where the stream ends.
    /// - Returns: nil if there is none. Who has found a seal by its end mark needn't ask.
    @available(*, noasync)
    func cutOffSeal(behind end: UInt64) throws(ImageError) -> UInt64? {
        let file = try openFile()
        // On a device anything may lie behind the stream.
        guard compression == nil, file.objectKind == .regularFile else { return nil }
        let place = SealHeader.offset(forStreamEnd: end)
        let magic = Array("BERTHSEA".utf8)
        return try file.readBytes(at: place, byteCount: magic.count) == magic ? place : nil
    }

    /// Throws if a seal that was cut off lies behind the stream: what is made of the image would
    /// look as if there had never been one.
    @available(*, noasync)
    func requireNoCutOffSeal(behind end: UInt64) throws(ImageError) {
        guard let offset = try cutOffSeal(behind: end) else { return }
        throw ImageError(
            "the seal of '\(path)' is cut off, so that its content can't be checked",
            hint: "--no-check takes the image as it is",
            offset: offset
        )
    }
}
