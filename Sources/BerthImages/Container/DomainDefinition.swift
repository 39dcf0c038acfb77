import BerthWire
internal import CExpat

/// What a domain's XML says of its guest, as far as it can be compared with a stream.
struct DomainDefinition: Sendable, Equatable {
    /// Why a text is no definition.
    struct Fault: Error, Equatable {
        /// What is wrong, one phrase.
        var what: String
        /// At which byte it was noticed.
        var offset: Int
    }

    /// The guest's UUID; nil if the definition leaves it to libvirt.
    let uuid: GuestUUID?
    /// The machine type, as libvirt writes it into saved definitions (`pc-q35-10.0`), or an alias.
    let machine: String?

    /// Reads a definition.
    ///
    /// - Throws: `Fault` for what isn't well-formed XML with the root `domain`. What else libvirt
    ///   wants isn't looked at.
    init(parsing xml: [UInt8]) throws(Fault) {
        let reader = DomainReader()
        try reader.read(xml)
        uuid = GuestUUID(reader.uuid.filter { !$0.isWhitespace })
        machine = reader.machine
    }

    /// What can't be said of the guest whose stream this configuration begins, one phrase each.
    func contradictions(to configuration: ConfigurationSection) -> [String] {
        var found: [String] = []
        if let uuid, let other = configuration.uuid, uuid != other {
            found.append("the domain XML has the UUID \(uuid), the stream has \(other)")
        }
        let name = configuration.machineName
        // A name without a dash is an alias (`q35`), one that others begin with another (`virt`).
        if let machine, machine.contains("-"), !machine.hasPrefix(name),
            !name.hasPrefix(machine + "-")
        {
            found.append("the domain XML has the machine '\(machine)', the stream has '\(name)'")
        }
        return found
    }
}

/// Takes what is looked for from libexpat, element by element.
@safe
private final class DomainReader {
    private(set) var uuid = ""
    private(set) var machine: String?
    private var root: String?
    private var hasDocumentType = false
    /// The parser at work.
    private var parser: XML_Parser?
    /// The names of the open elements, but for those deeper than what is looked for.
    private var path: [String] = []
    private var depth = 0

    /// More characters are neither a UUID nor a name.
    private static let textLimit = 255
    private static let depthLimit = 3

    func read(_ xml: [UInt8]) throws(DomainDefinition.Fault) {
        guard let parser = unsafe XML_ParserCreate(nil) else {
            throw DomainDefinition.Fault(what: "can't be read: no memory is left", offset: 0)
        }
        defer {
            unsafe self.parser = nil
            unsafe XML_ParserFree(parser)
        }
        unsafe XML_SetUserData(parser, Unmanaged.passUnretained(self).toOpaque())
        unsafe XML_SetElementHandler(
            parser,
            { unsafe DomainReader.of($0)?.begin($1, $2) },
            { reader, _ in unsafe DomainReader.of(reader)?.end() }
        )
        unsafe XML_SetCharacterDataHandler(parser) { unsafe DomainReader.of($0)?.take($1, $2) }
        unsafe XML_SetStartDoctypeDeclHandler(parser) { reader, _, _, _, _ in
            unsafe DomainReader.of(reader)?.stopAtDocumentType()
        }
        unsafe self.parser = parser
        let status = unsafe xml.withUnsafeBytes { bytes in
            unsafe XML_Parse(
                parser,
                bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
                CInt(clamping: bytes.count),
                1
            )
        }
        let offset = unsafe max(0, Int(XML_GetCurrentByteIndex(parser)))
        guard !hasDocumentType else {
            throw DomainDefinition.Fault(
                what: "has a document type declaration, as none of libvirt's has",
                offset: offset
            )
        }
        guard status == XML_STATUS_OK else {
            let reason =
                unsafe XML_ErrorString(XML_GetErrorCode(parser)).map { unsafe String(cString: $0) }
            let line = unsafe XML_GetCurrentLineNumber(parser)
            throw DomainDefinition.Fault(
                what: "isn't well-formed: \(reason ?? "an error") in line \(line)",
                offset: offset
            )
        }
        guard root == "domain" else {
            throw DomainDefinition.Fault(
                what: "isn't a domain's: it begins with <\(root ?? "...")>",
                offset: 0
            )
        }
    }

    private static func of(_ pointer: UnsafeMutableRawPointer?) -> DomainReader? {
        unsafe pointer.map { unsafe Unmanaged<DomainReader>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Entities could make much of little, or name other files.
    private func stopAtDocumentType() {
        hasDocumentType = true
        unsafe XML_StopParser(parser, XML_Bool(XML_FALSE))
    }

    private func begin(
        _ name: UnsafePointer<CChar>?,
        _ attributes: UnsafeMutablePointer<UnsafePointer<CChar>?>?
    ) {
        depth += 1
        guard depth <= Self.depthLimit, let name = unsafe name else { return }
        path.append(unsafe String(cString: name))
        if depth == 1 { root = Self.shown(path[0]) }
        guard path == ["domain", "os", "type"], var next = unsafe attributes else { return }
        // Names and values by turns, and a null pointer.
        while let name = unsafe next[0], let value = unsafe next[1] {
            if unsafe String(cString: name) == "machine" {
                machine = unsafe Self.shown(String(cString: value))
            }
            unsafe next += 2
        }
    }

    /// A name for messages; nil if it is none to show.
    private static func shown(_ text: String) -> String? {
        Limits.isName(text) ? text : nil
    }

    private func end() {
        if depth <= Self.depthLimit { path.removeLast() }
        depth -= 1
    }

    private func take(_ text: UnsafePointer<CChar>?, _ byteCount: CInt) {
        guard path == ["domain", "uuid"], depth == path.count, uuid.utf8.count < Self.textLimit,
            let text = unsafe text
        else { return }
        let bytes = unsafe UnsafeRawBufferPointer(start: text, count: Int(byteCount))
        uuid += unsafe String(decoding: bytes.prefix(Self.textLimit), as: UTF8.self)
    }
}
