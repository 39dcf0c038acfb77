internal import Glibc

/// A terminal that gives out keys one by one, without showing them, until this object goes.
@safe
final class RawKeys {
    private let descriptor: CInt
    private var saved = termios()

    /// - Parameter descriptor: a terminal.
    /// - Returns: nil if it is none.
    init?(_ descriptor: CInt) {
        self.descriptor = descriptor
        guard unsafe tcgetattr(descriptor, &saved) == 0 else { return nil }
        var mode = saved
        // Without ISIG ^C is a key as well: nobody would restore the terminal after a signal.
        mode.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
        guard unsafe tcsetattr(descriptor, TCSANOW, &mode) == 0 else { return nil }
    }

    deinit {
        unsafe tcsetattr(descriptor, TCSANOW, &saved)
    }

    /// The keys that were pressed; nil when the terminal has gone.
    func read() -> [UInt8]? {
        var count = 0
        let keys = unsafe [UInt8](unsafeUninitializedCapacity: 64) { buffer, used in
            count = unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            used = max(count, 0)
        }
        if count < 0, errno == EINTR || errno == EAGAIN { return [] }
        return count > 0 ? keys : nil
    }
}
