public import ArgumentParser
import BerthImages
public import BerthWire

/// `berth seal`: digests that find damage later.
struct SealCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seal",
        abstract: "Put digests of all pages behind a saved guest, which berth verify checks.",
        discussion: """
            A saved guest has no checksums: one that was damaged loads, and its guest goes on with \
            other memory than it had. A seal lies behind the end of the stream, where QEMU and \
            libvirt don't look, and costs a thousandth of the content (crc32c) or eight (blake3). \
            berth verify then names every page that isn't what was sealed.

            The image is changed in place, behind its end only; it is checked first. Compressed \
            images have checksums of their own and are refused.
            """
    )

    @Option(help: "crc32c finds accidents; blake3 also finds what somebody changed on purpose.")
    var algorithm: IntegrityAlgorithm = .crc32c

    @Flag(help: "Take the seal away instead.")
    var remove = false

    @Flag(help: "Seal an image that isn't what was sealed before, or that has faults.")
    var force = false

    @Argument(help: "The image to seal.")
    var image: String

    func run() {
        var sealer = ImageSealer(path: image)
        sealer.isForced = force
        let line = ProgressLine(verb: "sealed")
        sealer.progress = { line.show($0) }
        do throws(ImageError) {
            if remove {
                try sealer.remove()
            } else {
                try sealer.seal(algorithm)
            }
            line.end()
        } catch {
            line.end()
            fail(error.description, hint: error.hint)
        }
    }
}

extension IntegrityAlgorithm: ExpressibleByArgument {}
