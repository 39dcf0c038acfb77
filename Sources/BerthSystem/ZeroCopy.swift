internal import CBerthLinux
internal import Glibc

/// Sending over a socket without copying the memory first, as Linux has it (MSG_ZEROCOPY).
///
/// The memory belongs to the kernel until a completion has come over the socket's error queue.
public enum ZeroCopy {
    /// Some sends that are complete: their memory may be used again.
    public struct Completion: Sendable, Equatable {
        /// How many sends it stands for; the kernel puts several together.
        public let count: Int
        /// Whether the kernel has copied the memory after all.
        public let wasCopied: Bool
    }

    /// The flag for send(2) and sendmsg(2).
    public static var sendFlag: CInt { berth_MSG_ZEROCOPY }

    /// Lets sends over a socket have the flag.
    ///
    /// - Throws: `SystemCallError` for `setsockopt`: `EOPNOTSUPP` if the kind of socket hasn't got
    ///   it.
    public static func enable(_ raw: CInt) throws(SystemCallError) {
        try SystemCall.check("setsockopt SO_ZEROCOPY", "") { berth_zero_copy_enable(raw) }
    }

    /// Takes one completion from the error queue, without waiting.
    ///
    /// - Returns: nil if there is none now.
    /// - Throws: `SystemCallError` for `recvmsg`.
    public static func takeCompletion(_ raw: CInt) throws(SystemCallError) -> Completion? {
        while true {
            var first: UInt32 = 0
            var last: UInt32 = 0
            var copied: CInt = 0
            let (value, code) = SystemCall.uninterrupted {
                unsafe berth_zero_copy_completion(raw, &first, &last, &copied)
            }
            switch value {
            case 1:
                return Completion(count: Int(last &- first) + 1, wasCopied: copied != 0)
            case 0:
                // Some other message of the network: the next may be one of ours.
                continue
            default:
                guard code == EAGAIN else {
                    throw SystemCall.failure("recvmsg", "", code)
                }
                return nil
            }
        }
    }
}
