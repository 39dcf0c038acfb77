import Foundation
import Testing

extension PeersMachine {
    /// Saves the guest through `exec:berth receive` and waits for the image.
    ///
    /// QEMU says completed when it has written everything; the command then still makes the image
    /// durable before it gives it its name.
    ///
    /// - Parameters:
    ///   - image: the image's path; nothing may be there yet.
    ///   - berth: path of the program.
    ///   - format: layout of the image, or nil for the default.
    public func migrate(
        toImage image: String,
        receivedBy berth: String,
        format: String? = nil
    ) throws {
        let option = format.map { " --format \($0)" } ?? ""
        try migrate(to: "exec:'\(berth)' receive '\(image)'\(option)")
        while !FileManager.default.fileExists(atPath: image) {
            try #require(process.isRunning, "the source ended before the image was there")
            usleep(1000)
        }
    }
}
