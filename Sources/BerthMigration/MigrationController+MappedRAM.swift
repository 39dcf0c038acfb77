import BerthMemory
public import BerthQAPI

extension MigrationController {
    /// QMP `x-query-mapped-ram`.
    public var mappedRAM: MappedRAMInfo { images.info }

    /// Judges before a load whether the guest's memory can lie on an image, if it is to.
    ///
    /// - Throws: `MigrationError` that says what is in the way; nothing was started.
    func checkMapping() throws(MigrationError) {
        guard capabilities[.mappedRAM], parameters.xMappedRAMRestore == .map else { return }
        for block in ownBlocks {
            guard let obstacle = block.obstacleToImage else { continue }
            throw MigrationError(
                "cannot map an image: RAM block '\(block.id)': \(obstacle)",
                hint: "use memory-backend-ram, or set x-mapped-ram-restore to copy"
            )
        }
    }

    /// Keeps what the guest's memory lies on, and looks after it.
    func keep(_ image: LoadedImage?) {
        images.load = image
        guard let hold = image?.hold else { return }
        if parameters.xMappedRAMPrefetch {
            images.load?.beginPrefetch()
        }
        do {
            let (changes, door) = AsyncStream<Void>.makeStream()
            try hold.whenChanged {
                door.yield()
                door.finish()
            }
            // The watch ends with the controller, so it may not keep it.
            Task { [weak self] in
                for await _ in changes {
                    await self?.imageChanged()
                }
            }
        } catch {
            environment.complain("cannot watch '\(image?.name ?? "")' for changes: \(error)")
        }
    }

    /// Stops a guest whose memory was changed under it.
    private func imageChanged() {
        guard let image = images.load, !image.isChanged else { return }
        images.load?.isChanged = true
        images.load?.end()
        let message = "'\(image.name)' was changed while the guest's memory lay on it"
        environment.complain(message + ": the guest is stopped")
        environment.emit(.xMappedRAMImageChanged(image: image.name))
        if outgoing.isRunning {
            outgoingError = message
            outgoingWork?.orders.cancel()
        }
        if runState.isLive {
            // A writer that doesn't stop can't make it worse.
            try? activity?.pause()
        }
        if runState.breakDown() {
            environment.emit(.stop)
        }
        outgoingWork?.orders.isGuestLive = runState.isLive
    }
}
