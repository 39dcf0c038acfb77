public import ArgumentParser
public import BerthImages

/// `berth receive`: any QEMU's outgoing stream into an image.
struct ReceiveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive",
        abstract: "Take an outgoing migration of any QEMU and keep it as an image.",
        discussion: """
            The stream comes from standard input, so that in QEMU's monitor

                migrate "exec:berth receive vm.img"

            replaces exec:cat > vm.img: the image is bounded, sparse and seekable. With -l it comes \
            over a socket, and over as many multifd channels as the source has. The source is told \
            of success only when the image is safely on disk.
            """
    )

    @Option(
        name: [.short, .long],
        help: "Listen here: unix:PATH, tcp:HOST:PORT or vsock:CID:PORT."
    )
    var listen: String?

    @Option(
        help: "Form of the image."
    )
    var format: ImageFormat = .mappedRAM

    @Option(help: "A file with the domain's XML, for libvirt's formats.")
    var xml: String?

    @Option(help: "Digests that the image gets; see 'berth seal'.")
    var integrity = SealOption.none

    @Argument(help: "The image to write; - is standard output, for sequential images.")
    var image: String

    func validate() throws {
        guard xml == nil || format.libvirt != nil else {
            throw ValidationError(
                "--xml is for libvirt's formats: an image as \(format.rawValue) can't say it"
            )
        }
    }

    func run() {
        Interruption.cleaningUp { UnfinishedImages.removeAll() }
        var receiver = ImageReceiver(path: image, format: format)
        if case .with(let algorithm) = integrity.choice {
            receiver.integrity = algorithm
        }
        let line = ProgressLine(verb: "received")
        receiver.progress = { line.show($0) }
        do throws(ImageError) {
            if let xml {
                receiver.domain = LibvirtDomain(xml: try DomainXML.read(xml))
                receiver.inputs = [xml]
            }
            try receiver.receive(from: listen)
            line.end()
        } catch {
            line.end()
            fail(error.description, hint: error.hint)
        }
    }
}

extension ImageFormat: ExpressibleByArgument {}
