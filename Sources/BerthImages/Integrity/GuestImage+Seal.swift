import BerthStream
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
            throw ImageError(error, during: "checking '\(path)'")
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
}
