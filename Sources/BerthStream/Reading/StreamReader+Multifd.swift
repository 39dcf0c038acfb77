extension StreamReader {
    /// Says where the pages of the other channels go.
    func beginMultifd(_ sink: any PageSink) {
        guard let sink = sink as? any ConcurrentPageSink else { return }
        multifd?.begin(
            MultifdReceiver.Target(blocks: blocks, indexes: blockIndexes, sink: sink)
        )
    }

    private func takeLateChannels() throws(StreamError) {
        guard let findMultifd else { return }
        self.findMultifd = nil
        guard let found = try findMultifd() else { return }
        multifd = found
        try found.start()
        if let sink { beginMultifd(sink) }
    }

    /// Passes the word that stands for a sync point.
    func passFlush() throws(StreamError) {
        try takeLateChannels()
        guard let multifd else {
            throw StreamError(
                .unsupported,
                "the stream's pages travel on multifd channels",
                at: input.position,
                hint: "turn capability multifd on at both ends, or at none"
            )
        }
        guard flushesEachSection != true else {
            throw StreamError(
                .malformed,
                "a multifd sync point inside a section, the stream had them at the ends",
                at: input.position
            )
        }
        flushesEachSection = false
        try multifd.synchronize()
        try receiver.progressed(wholeProgress)
    }

    /// Passes a section's end, which is a sync point where none had a word of its own before.
    func passSectionEnd() throws(StreamError) {
        try takeLateChannels()
        guard let multifd else { return }
        if flushesEachSection == nil { flushesEachSection = true }
        guard flushesEachSection == true else { return }
        try multifd.synchronize()
        try receiver.progressed(wholeProgress)
    }
}
