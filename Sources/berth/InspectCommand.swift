import ArgumentParser
import BerthImages

/// `berth inspect`: what a file is and what is in it.
struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Tell what a saved guest has in it: machine, memory, devices, libvirt's XML.",
        discussion: """
            What the file is, is found by its content: QEMU's streams in both layouts, bare or \
            compressed, libvirt's save files of every kind, and what people take for one.

                berth inspect vm.save
                berth inspect vm.save --html vm.html

            The exit status is 1 if the file isn't known, or can't be read to its end; what is known \
            is told first.
            """
    )

    @Argument(help: "The image: a file or block device.")
    var image: String

    @Flag(help: "Also tell all fields of all devices.")
    var devices = false

    @Flag(help: "Print one JSON object; docs/image-reports.md says what is in it.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Write a page for a browser, with a map of RAM and all fields, in the text's place.",
            valueName: "file"
        )
    )
    var html: String?

    func run() {
        Interruption.cleaningUp { UnfinishedImages.removeAll() }
        do throws(ImageError) {
            let inspection = try ImageInspection(of: image)
            if let html {
                try ImageFile.write(
                    Array(inspection.page.document.utf8),
                    to: html,
                    from: [image]
                )
            }
            if json {
                print(inspection.json(hasFields: devices))
            } else if html == nil {
                print(inspection.text(hasFields: devices), terminator: "")
            }
            if let problem = inspection.problem {
                fail(problem.description, hint: problem.hint)
            }
        } catch {
            fail(error.description, hint: error.hint)
        }
    }
}
