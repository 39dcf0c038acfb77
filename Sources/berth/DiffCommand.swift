import ArgumentParser
import BerthImages
import Glibc

/// `berth diff`: what differs between two images of one guest.
struct DiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Tell what differs between two saved guests: pages, devices, settings.",
        discussion: """
            Memory and device state are compared, not files: the same guest saved in two ways has \
            no difference.

                berth diff before.img after.img
                berth diff before.img after.img --html diff.html

            Prints nothing and ends with 0 if nothing differs; with 1 if something does, with 2 if \
            an image can't be read.
            """
    )

    @Argument(help: "The first image.")
    var first: String

    @Argument(help: "The second image.")
    var second: String

    @Flag(help: "Also list every range of pages that differs.")
    var pages = false

    @Flag(help: "Print one JSON object; docs/image-reports.md says what is in it.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Write a page for a browser, with a map of RAM, in the text's place.",
            valueName: "file"
        )
    )
    var html: String?

    func run() throws {
        Interruption.cleaningUp { UnfinishedImages.removeAll() }
        let line = ProgressLine(verb: "compared")
        let isSame: Bool
        do throws(ImageError) {
            isSame = try compare(line)
        } catch {
            line.end()
            complain(error.description, hint: error.hint)
            throw ExitCode(2)
        }
        guard isSame else { throw ExitCode(1) }
    }

    private func compare(_ line: ProgressLine) throws(ImageError) -> Bool {
        let difference = try ImageDifference(
            between: GuestImage(opening: first),
            and: GuestImage(opening: second),
            progress: { line.show($0) }
        )
        line.end()
        if let html {
            try ImageFile.write(
                Array(difference.page.document.utf8),
                to: html,
                from: [first, second]
            )
        }
        if json {
            print(difference.json(listsPages: pages))
        } else if html == nil {
            difference.write(listsPages: pages) { print($0) }
        }
        return difference.isSame
    }
}
