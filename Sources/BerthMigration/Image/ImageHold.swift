import BerthMemory
import BerthStream
import BerthSystem
import BerthTransport
import Glibc

/// Holds an image that memory is to lie on: locked for reading, and watched for changes.
///
/// From before the first byte is read, so that no change goes unseen; until this object goes.
final class ImageHold: Sendable {
    /// The image.
    let image: MemoryImage
    private let watch: FileWatch
    private let stop: WakeEvent

    /// Takes the file behind a channel.
    ///
    /// - Throws: `StreamError` if it is being written, or can't be locked or watched.
    init(_ channel: Channel) throws(StreamError) {
        do throws(TransportError) {
            let file = try channel.openAgain()
            do throws(SystemCallError) {
                stop = try WakeEvent()
                watch = try FileWatch(of: file, name: channel.name)
                image = try MemoryImage(file, name: channel.name)
            } catch {
                throw TransportError("map", channel.name, cause: error, hint: Self.hint(error))
            }
        } catch {
            throw StreamError(error)
        }
    }

    deinit { stop.signal() }

    private static func hint(_ error: SystemCallError) -> String {
        func isFor(_ code: CInt) -> Bool {
            error.errno == SystemCall.failure("", "", code).errno
        }
        if isFor(EAGAIN) || isFor(EACCES) {
            return "it is being written: wait for the end of the save"
        }
        let copy = "set x-mapped-ram-restore to copy"
        return isFor(ENOSPC) ? "raise fs.inotify.max_user_watches, or \(copy)" : copy
    }

    /// Calls `body` once if the image changes, or has changed since it was taken.
    ///
    /// - Throws: `SystemCallError` if the system is out of threads.
    func whenChanged(_ body: @escaping @Sendable () -> Void) throws(SystemCallError) {
        try NamedThread.start(name: "berth-watch") { [watch, stop] in
            // If the wait fails nobody would know of a change: better to take it for one.
            guard (try? watch.waitForChange(stop: stop)) != false else { return }
            body()
        }
    }
}
