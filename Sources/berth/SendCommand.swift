import ArgumentParser
import BerthImages

/// `berth send`: an image into any QEMU.
struct SendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Feed an image to a QEMU that waits with -incoming.",
        discussion: """
            The stream goes to standard output, so that a QEMU of the same machine started with

                -incoming "exec:berth send vm.img"

            continues the guest. With -c it goes over a socket, and the command fails if the \
            destination does.
            """
    )

    @Argument(help: "The image to read, of any kind; - is standard input, for bare streams.")
    var image: String

    @Option(
        name: [.short, .long],
        help: "Connect here: unix:PATH, tcp:HOST:PORT or vsock:CID:PORT."
    )
    var connect: String?

    @Flag(help: "Take a sealed image as it is, without comparing it with its seal.")
    var noCheck = false

    func run() {
        var sender = ImageSender(path: image)
        sender.checksSeal = !noCheck
        let line = ProgressLine(verb: "sent")
        sender.progress = { line.show($0) }
        do {
            try sender.send(to: connect)
            line.end()
        } catch {
            line.end()
            fail(error.description, hint: error.hint)
        }
    }
}
