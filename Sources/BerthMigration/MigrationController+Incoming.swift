import BerthMemory
import BerthQAPI
import BerthStream
import BerthSystem
public import BerthTransport
import BerthWire
import Glibc

extension MigrationController {
    /// QMP `migrate-incoming`, and `-incoming URI`.
    ///
    /// Listens, or opens what is to be read, before it returns.
    /// - Parameter exitOnError: whether a failure after that ends the process with status 1.
    /// - Throws: `MigrationError` if it may not start or the transport can't be opened; the status
    ///   is then what it was, and a retry is welcome.
    public func migrateIncoming(
        from address: BerthTransport.MigrationAddress,
        exitOnError: Bool,
        resources: TransportResources
    ) throws(MigrationError) {
        guard runState.state == .inmigrate else {
            throw MigrationError(
                "the guest is not waiting for a migration",
                hint: "start the endpoint with -incoming defer"
            )
        }
        guard incoming.canStart else {
            throw MigrationError(
                "an incoming migration is in state '\(incoming.status.rawValue)' already"
            )
        }
        try SettingRules.checkAtStart(capabilities, parameters)
        try checkTransport(address, direction: .incoming, resources)
        try checkMapping()
        incomingError = nil
        exitsOnError = exitOnError
        perform(incoming.handle(.start))
        do {
            let transport = try listen(at: address, resources)
            let direct = try openDirect(transport)
            incomingAddresses = transport.boundAddresses
            try launchIncoming(transport, direct)
        } catch {
            incomingAddresses = []
            perform(incoming.handle(.openFailed))
            throw error
        }
    }

    private func listen(
        at address: BerthTransport.MigrationAddress,
        _ resources: TransportResources
    ) throws(MigrationError) -> IncomingTransport {
        do {
            return try IncomingTransport(
                address: address,
                seekingCapability: capabilities[.mappedRAM]
                    ? MigrationCapability.mappedRAM.rawValue : nil,
                resources: resources
            )
        } catch {
            throw MigrationError(error)
        }
    }

    /// Opens a mapped-ram image around the page cache, if parameter `direct-io` says so.
    private func openDirect(
        _ transport: IncomingTransport
    ) throws(MigrationError) -> Channel? {
        guard capabilities[.mappedRAM], parameters.directIO else { return nil }
        do {
            return try transport.openAdditionalFile(isDirect: true)
        } catch {
            throw MigrationError(error)
        }
    }

    /// What the pages of an image are read by; more than a disk or a page cache needs is no gain.
    private var readerCount: Int {
        guard !capabilities[.multifd] else { return Int(parameters.multifdChannels) }
        return min(max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN))), 4)
    }

    private var multifdPlan: MultifdPlan? {
        guard capabilities[.multifd] else { return nil }
        let method: MultifdMethod =
            switch parameters.multifdCompression {
            case .none: .none
            case .zlib: .zlib
            case .zstd: .zstd
            }
        return MultifdPlan(channelCount: Int(parameters.multifdChannels), method: method)
    }

    private func launchIncoming(
        _ transport: IncomingTransport,
        _ direct: Channel?
    ) throws(MigrationError) {
        let foreign = identity.machineType != "none"
        let plan = IncomingPlan(
            identity: identity,
            isMapped: capabilities[.mappedRAM],
            mapsImage: capabilities[.mappedRAM] && parameters.xMappedRAMRestore == .map,
            readerCount: readerCount,
            leavesOutSharedBlocks: capabilities[.xIgnoreShared],
            acknowledgesSwitchover: capabilities[.switchoverAck],
            multifd: multifdPlan,
            blocks: ownBlocks,
            adoptsBlocks: foreign,
            knownSections: foreign ? nil : Self.bareSections
        )
        let (reports, door) = AsyncStream<IncomingReport>.makeStream()
        do {
            let orders = try MigrationOrders()
            orders.attach { transport.abort() }
            let thread = try NamedThread.start(name: "berth-load") {
                IncomingWorker(plan, direct: direct, orders: orders) { door.yield($0) }.run(
                    transport
                )
                door.finish()
            }
            incomingWork = Work(
                thread: thread,
                orders: orders,
                isOverSocket: transport.address.isSocket
            )
        } catch {
            throw MigrationError("cannot start the incoming migration: \(error)")
        }
        Task {
            for await report in reports {
                handle(report)
            }
        }
    }

    /// The sections that a guest of machine `none` can bring: global ones, user networking's, and
    /// dirty bitmaps of disks.
    private static let bareSections: Set<String> = [
        TimerState.sectionName, GlobalState.sectionName, "slirp", "dirty-bitmap",
    ]

    private func handle(_ report: IncomingReport) {
        switch report {
        case .streamBegan:
            perform(incoming.handle(.streamBegan))
        case .loaded(let guest):
            endIncomingWork()
            loaded = guest
            perform(incoming.handle(.loaded))
        case .failed(let error):
            endIncomingWork()
            incomingError = error.sentence
            perform(incoming.handle(.failed))
        }
    }

    private func endIncomingWork() {
        // The thread has said its last word; joining it takes no time.
        incomingWork?.thread.join()
        incomingWork = nil
        incomingAddresses = []
    }

    private func perform(_ actions: [IncomingStateMachine.Action]) {
        for action in actions {
            switch action {
            case .report(let status):
                reportMigration(status)
            case .adoptGuest:
                adopt()
            case .giveUp:
                guard exitsOnError else { continue }
                environment.exit(1, incomingError ?? "the incoming migration failed")
            }
        }
    }

    private func adopt() {
        guard let guest = loaded else { return }
        loaded = nil
        memory.replace(with: guest.blocks)
        relayed = guest.stream
        activity?.contentReplaced()
        if runState.adopt(guest.runState) {
            activity?.resume()
            environment.emit(.resume)
        }
        keep(guest.image)
    }
}
