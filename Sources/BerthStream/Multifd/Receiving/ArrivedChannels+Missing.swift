// What to say about channels too few and too many.

extension ArrivedChannels {
    /// Why the wait for the rest was given up.
    var whatIsMissing: StreamError {
        guard main != nil else {
            return StreamError(
                .truncated,
                connectionCount == 1 && !unidentified.isEmpty
                    ? "a connection was made, but nothing came over it for "
                        + "\(gathering.patience.mainChannel)"
                    : "no main channel came for \(gathering.patience.mainChannel), only "
                        + "\(counted(connectionCount))",
                hint: "look at the source: it may hang, or be no QEMU"
            )
        }
        guard unidentified.isEmpty else {
            return StreamError(
                .truncated,
                "\(counted(unidentified.count)) beside the main one never said what they are for",
                hint: "look at the source: it may hang, or be no QEMU"
            )
        }
        return wrongCount
    }

    /// The error where the source's count isn't this end's.
    var wrongCount: StreamError {
        guard case .exactly(let expected) = gathering.expectation else {
            return StreamError(.malformed, "the multifd channels don't belong together")
        }
        let count = connectionCount - 1
        guard count > 0 else {
            return StreamError(
                .mismatch,
                "the source connected no multifd channel, \(expected) are expected here",
                hint: "turn capability multifd off here, or on on the source"
            )
        }
        return StreamError(
            .mismatch,
            "the source connected \(count) multifd channel\(count == 1 ? "" : "s"), \(expected) "
                + "\(expected == 1 ? "is" : "are") expected here",
            hint: "set multifd-channels to \(count) here, or to \(expected) on the source"
        )
    }

    private func counted(_ count: Int) -> String {
        "\(count) connection\(count == 1 ? "" : "s")"
    }
}
