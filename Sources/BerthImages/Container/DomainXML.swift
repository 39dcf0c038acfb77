import BerthSystem
import BerthTransport
import Glibc

/// A domain's definition in a file of its own.
public enum DomainXML {
    /// libvirt takes no definition over 4 MiB from its clients.
    private static let byteLimit = 4 << 20

    /// Reads a definition.
    ///
    /// - Throws: `ImageError` if the file can't be read, or isn't the XML of a domain.
    @available(*, noasync)
    public static func read(_ path: String) throws(ImageError) -> [UInt8] {
        let file: Channel
        do {
            file = try Channel(OwnedDescriptor.open(path, O_RDONLY), name: path)
        } catch let error as TransportError {
            throw ImageError(error)
        } catch {
            throw ImageError("\(error)")
        }
        let bytes = try file.readBytes(at: 0, byteCount: byteLimit + 1)
        guard bytes.count <= byteLimit else {
            throw ImageError("'\(path)' isn't the XML of a domain: it has over 4 MiB", hint: hint)
        }
        _ = try definition(in: bytes, named: "'\(path)'")
        return bytes
    }

    private static let hint = "'virsh dumpxml --migratable DOMAIN' prints it"

    /// Reads what a definition says.
    ///
    /// - Parameter name: what the text is called in messages.
    /// - Throws: `ImageError` for what isn't the XML of a domain. What else libvirt wants is its to
    ///   say.
    static func definition(
        in xml: [UInt8],
        named name: String = "the domain XML"
    ) throws(ImageError) -> DomainDefinition {
        do throws(DomainDefinition.Fault) {
            return try DomainDefinition(parsing: xml)
        } catch {
            throw ImageError("\(name) \(error.what)", hint: hint)
        }
    }
}
