import BerthSystem
public import BerthTransport
import Glibc

/// An image being written beside its final name, so that a cut-off save is never taken for one.
///
/// A regular file is written under a temporary name in the same folder and renamed at the end; what
/// was there before stays until then. A device, or standard output, is written in place.
public final class ImageFile {
    /// Open for reading and writing.
    public let channel: Channel
    private let path: String
    private let temporaryPath: String?
    private var isCommitted = false

    /// Creates the file.
    ///
    /// - Parameters:
    ///   - path: the image's name; its folder must be writable.
    ///   - inputs: files that it is made from, which it can't take the place of; `-` is standard
    ///     input.
    /// - Throws: `ImageError` that names the path and the reason.
    public init(creating path: String, from inputs: [String]) throws(ImageError) {
        try Self.requireOther(path, than: inputs)
        self.path = path
        let existing = try? FileStatus(path: path)
        let isReplaceable = existing == nil || existing?.kind == .regularFile
        let temporaryPath = isReplaceable ? "\(path).partial-\(getpid())" : nil
        self.temporaryPath = temporaryPath
        let flags = O_RDWR | O_CLOEXEC | (isReplaceable ? O_CREAT | O_EXCL : 0)
        do {
            let raw = try SystemCall.check("create", path) {
                unsafe open(temporaryPath ?? path, flags, 0o600)
            }
            if let temporaryPath {
                UnfinishedImages.add(temporaryPath)
            }
            channel = try Channel(OwnedDescriptor(raw), name: path)
        } catch let error as TransportError {
            throw ImageError(error)
        } catch {
            throw ImageError(
                "\(error)",
                hint: "check the name, the folder's rights and its free space"
            )
        }
    }

    /// Throws if an output's name is that of something it is made from, also by way of a link.
    ///
    /// What isn't complete yet would take the place of what is, or a page about a guest that of the
    /// guest.
    static func requireOther(_ path: String, than inputs: [String]) throws(ImageError) {
        guard path != "-", let output = try? FileStatus(path: path) else { return }
        for input in inputs {
            let status =
                input == "-" ? try? FileStatus(of: STDIN_FILENO) : try? FileStatus(path: input)
            guard let status, status.isSeekable, status.device == output.device,
                status.inode == output.inode
            else { continue }
            let name = input == "-" ? "standard input" : "'\(input)'"
            throw ImageError(
                "cannot write '\(path)': it is the same file as \(name), which is read",
                hint: "give the output another name"
            )
        }
    }

    /// Makes the image durable and gives it its name.
    /// - Throws: `ImageError`; the image then doesn't exist under its name.
    @available(*, noasync)
    public func commit() throws(ImageError) {
        do {
            try channel.synchronize()
            if let temporaryPath {
                try UnfinishedImages.finish(temporaryPath) { () throws(SystemCallError) in
                    try SystemCall.check("rename", path) { unsafe rename(temporaryPath, path) }
                }
                try synchronizeFolder()
            }
        } catch let error as TransportError {
            throw ImageError(error)
        } catch {
            throw ImageError("\(error)")
        }
        isCommitted = true
    }

    /// Makes the name durable, too: a source lets go of its guest for it.
    private func synchronizeFolder() throws(SystemCallError) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let parent = parts.dropLast().joined(separator: "/")
        let folder = parent.isEmpty ? (path.hasPrefix("/") ? "/" : ".") : parent
        let descriptor = try OwnedDescriptor.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        try SystemCall.check("write to", folder) { fsync(descriptor.raw) }
    }

    /// Removes what was written, unless `commit` succeeded.
    public func discard() {
        guard !isCommitted, let temporaryPath else { return }
        UnfinishedImages.remove(temporaryPath)
    }
}
