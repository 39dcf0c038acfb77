import ArgumentParser
import BerthImages
import Glibc

/// `berth verify`: whether images are whole.
struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Say whether saved guests are whole, without loading them.",
        discussion: """
            Checks QEMU's streams in both layouts and libvirt's save files of every kind: headers, \
            lengths and places, bitmaps, the list of devices, libvirt's mark of an unfinished save, \
            what lies behind the end. The content is checked, too, if the image is compressed or \
            sealed; see berth seal.

            Prints one line for each image that is whole, and one for each fault: where it is, and \
            what it means for a restore. The exit status is 0 if all images are whole, else 1.
            """
    )

    @Flag(help: "Leave the pages of sealed images unread.")
    var structureOnly = false

    @Flag(
        help: "Print one JSON object for each image; docs/image-reports.md says what is in it."
    )
    var json = false

    @Argument(help: "The images to check.")
    var images: [String]

    func run() {
        var areWhole = true
        for image in images where !verify(image) { areWhole = false }
        if !areWhole { Glibc.exit(1) }
    }

    private func verify(_ path: String) -> Bool {
        var verifier = ImageVerifier(path: path)
        verifier.checksStructureOnly = structureOnly
        let line = ProgressLine(verb: "checked")
        verifier.progress = { line.show($0) }
        do throws(ImageError) {
            let report = try verifier.verify()
            line.end()
            show(report, path)
            return report.isWhole
        } catch {
            line.end()
            if json {
                print(VerificationReport.json(of: error, for: path))
            } else {
                complain(error.description, hint: error.hint)
            }
            return false
        }
    }

    private func show(_ report: VerificationReport, _ path: String) {
        if json {
            print(report.json(for: path))
            return
        }
        for text in report.lines(for: path) { print(text) }
        if report.isWhole { print(report.summary(for: path)) }
        for text in report.remarkLines(for: path) { print(text) }
    }
}
