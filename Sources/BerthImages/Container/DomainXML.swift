import BerthSystem
import BerthTransport
import Glibc

/// A domain's definition in a file of its own.
public enum DomainXML {
    /// libvirt takes no definition over 4 MiB from its clients.
    private static let byteLimit = 4 << 20

    /// Reads a definition and sees that it is one of a domain.
    ///
    /// It isn't parsed: libvirt does that, and says what it doesn't like.
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
        let text = String(decoding: bytes.prefix(byteLimit), as: UTF8.self)
        guard bytes.count <= byteLimit, !bytes.contains(0), text.contains("<domain") else {
            throw ImageError(
                "'\(path)' isn't the XML of a domain",
                hint: "'virsh dumpxml --migratable DOMAIN' prints it"
            )
        }
        return bytes
    }
}
