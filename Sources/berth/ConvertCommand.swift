import ArgumentParser
import BerthImages
import BerthWire

/// `berth convert`: an image in another form.
struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Turn a saved guest into another form: mapped-ram, sequential, libvirt's.",
        discussion: """
            What the input is, is found by its content: QEMU's streams in both layouts, bare or \
            compressed, and libvirt's save files of every kind. The output gets its name when it is \
            complete and on the disk; pages without content stay holes.

            A libvirt save file keeps its domain's XML, libvirt's cookie, and whether the guest runs \
            after a restore. A bare stream has none of these: give the XML.

                virsh dumpxml --migratable vm1 > vm1.xml
                berth convert vm.img vm1.save --format libvirt-sparse --xml vm1.xml
            """
    )

    @Argument(help: "The image to read; - is standard input, for bare streams.")
    var input: String

    @Argument(help: "The image to write; - is standard output, for sequential streams.")
    var output: String

    @Option(
        help: "The form to write."
    )
    var format: ImageFormat

    @Option(help: "A file with the domain's XML, for libvirt's formats.")
    var xml: String?

    @Flag(help: "Whether libvirt lets the guest run after a restore; as it was, if not given.")
    var state: StateAfterRestore?

    @Option(
        help: "Digests that the output gets; like the input's if not given, see 'berth seal'."
    )
    var integrity: SealOption?

    @Flag(help: "Take a sealed input as it is, without comparing it with its seal.")
    var noCheck = false

    func validate() throws {
        guard format.libvirt == nil else { return }
        let given = (xml == nil ? [] : ["--xml"]) + (state.map { ["--\($0.rawValue)"] } ?? [])
        guard let option = given.first else { return }
        throw ValidationError(
            "\(option) is for libvirt's formats: an image as \(format.rawValue) can't say it"
        )
    }

    func run() {
        Interruption.cleaningUp { UnfinishedImages.removeAll() }
        var converter = ImageConverter(input: input, output: output, format: format)
        converter.runsAfterRestore = state.map { $0 == .running }
        converter.integrity = integrity?.choice ?? .asInput
        converter.checksSeal = !noCheck
        let line = ProgressLine(verb: "converted")
        converter.progress = { line.show($0) }
        do throws(ImageError) {
            if let xml {
                converter.xml = try DomainXML.read(xml)
                converter.xmlPath = xml
            }
            try converter.convert()
            line.end()
        } catch {
            line.end()
            fail(error.description, hint: error.hint)
        }
    }
}

/// What virsh's options of the same names say.
enum StateAfterRestore: String, EnumerableFlag {
    case running, paused
}

/// How an image is to be sealed.
enum SealOption: String, ExpressibleByArgument, CaseIterable {
    case none, crc32c, blake3

    var choice: SealChoice {
        switch self {
        case .none: .none
        case .crc32c: .with(.crc32c)
        case .blake3: .with(.blake3)
        }
    }
}
