import BerthMemory
public import BerthQAPI
import BerthStream
import BerthSystem
public import BerthTransport
import BerthWire

extension MigrationController {
    /// QMP `migrate`.
    ///
    /// Files, descriptors and commands are opened before the call returns, sockets in the
    /// background.
    /// - Throws: `MigrationError` if it may not start; a transport that could not be opened leaves
    ///   status failed, everything before leaves the status as it was.
    public func migrate(
        to address: BerthTransport.MigrationAddress,
        resume: Bool,
        resources: TransportResources
    ) async throws(MigrationError) {
        try SettingRules.checkAtStart(capabilities, parameters)
        try checkTransport(address, direction: .outgoing, resources)
        guard !resume else {
            throw MigrationError(
                "cannot resume: no postcopy migration is paused",
                hint: "start a new migration without 'resume'"
            )
        }
        // A cancel that was accepted is as good as done for the operator.
        while outgoing.status == .cancelling {
            await withCheckedContinuation { endWaiters.append($0) }
        }
        try checkStart()
        try checkMemory()
        let plan = try makePlan(address)
        let orders = try makeOrders()
        activity?.migrationBegins()
        outgoingError = nil
        statistics = TransferStatistics()
        outgoingTimes = MigrationTimes(start: .now)
        outgoing.pausesBeforeSwitchover = capabilities[.pauseBeforeSwitchover]
        outgoing.hasVerdict = capabilities[.returnPath]
        outgoing.takesSnapshot = capabilities[.backgroundSnapshot]
        perform(outgoing.handle(.start))
        do {
            try launch(plan, try open(plan, resources), orders)
        } catch {
            outgoingError = error.sentence
            perform(outgoing.handle(.failed))
            throw error
        }
    }

    /// QMP `migrate_cancel`.
    ///
    /// Always succeeds; nothing happens where nothing runs.
    public func cancel() {
        perform(outgoing.handle(.cancel))
    }

    /// QMP `migrate-continue`.
    /// - Throws: `MigrationError` if the migration isn't in that state.
    public func proceed(from state: MigrationStatus) throws(MigrationError) {
        guard outgoing.status == state else {
            throw MigrationError(
                "cannot continue: the migration is in state '\(outgoing.status.rawValue)', not "
                    + "'\(state.rawValue)'"
            )
        }
        perform(outgoing.handle(.proceed))
    }

    /// QMP `yank` of the migration: shuts its sockets down, so that it fails.
    ///
    /// Files and pipes are not affected, as in QEMU.
    public func yank() {
        for work in [outgoingWork, incomingWork] where work?.isOverSocket == true {
            work?.orders.yank()
        }
    }

    /// Whether `yank` has something to work on.
    public var canYank: Bool {
        outgoingWork != nil || incomingWork != nil
    }

    // MARK: Start

    private func checkStart() throws(MigrationError) {
        guard !outgoing.isRunning else {
            throw MigrationError(
                "a migration is running already",
                hint: "wait for its end, or cancel it with migrate_cancel"
            )
        }
        switch runState.state {
        case .inmigrate:
            throw MigrationError(
                "the guest is waiting for an incoming migration, there is nothing to send yet"
            )
        case .postmigrate:
            throw MigrationError(
                "the guest has been migrated away already",
                hint: "resume it with cont, or reset it, to send it again"
            )
        default:
            break
        }
    }

    /// Judges the transport against the capabilities, before anything is opened or created.
    func checkTransport(
        _ address: BerthTransport.MigrationAddress,
        direction: MigrationDirection,
        _ resources: TransportResources
    ) throws(MigrationError) {
        var needs: [(TransportNeed, MigrationCapability)] = []
        if capabilities[.mappedRAM] {
            needs.append((.seekable, .mappedRAM))
        }
        if capabilities[.multifd] {
            needs.append((.severalChannels(withMappedRAM: capabilities[.mappedRAM]), .multifd))
        }
        // A destination answers if it is asked to, whatever the capability says.
        if direction == .outgoing, capabilities[.returnPath] {
            needs.append((.bidirectional, .returnPath))
        }
        var named = needs.map { ($0.0, "capability '\($0.1.rawValue)'") }
        if direction == .outgoing, parameters.xIntegrity != .none {
            named.append((.seekable, "parameter 'x-integrity'"))
        }
        for (need, setting) in named {
            do {
                try address.require(
                    need,
                    for: setting,
                    direction: direction,
                    resources: resources
                )
            } catch {
                throw MigrationError(error)
            }
        }
    }

    private func makeOrders() throws(MigrationError) -> MigrationOrders {
        do {
            var limits = MigrationLimits(parameters)
            if capabilities[.backgroundSnapshot] {
                // Slowing the save down would slow the guest down, too.
                limits.bytesPerSecond = 0
            }
            let orders = try MigrationOrders(limits)
            orders.isGuestLive = runState.isLive
            return orders
        } catch {
            throw MigrationError("cannot start the migration: \(error)")
        }
    }

    /// Opens what can be opened at once; a socket is connected to by the data thread.
    private func open(
        _ plan: OutgoingPlan,
        _ resources: TransportResources
    ) throws(MigrationError) -> (OutgoingTransport, OutgoingChannels?) {
        do {
            let transport = try OutgoingTransport(
                address: plan.address,
                seekingCapability: plan.isMapped
                    ? MigrationCapability.mappedRAM.rawValue : nil,
                resources: resources
            )
            guard transport.opensImmediately else { return (transport, nil) }
            return (transport, try OutgoingChannels(opening: transport, plan))
        } catch {
            throw MigrationError(error)
        }
    }

    private func makePlan(
        _ address: BerthTransport.MigrationAddress
    ) throws(MigrationError) -> OutgoingPlan {
        var configuration =
            relayed?.configuration
            ?? ConfigurationSection(machineName: identity.machineType)
        // In QEMU's order of capabilities.
        configuration.capabilities = [.xIgnoreShared, .mappedRAM]
            .filter { capabilities[$0] }
            .map(\.rawValue)
        configuration.uuid = capabilities[.validateUUID] ? identity.uuid : nil
        let activity = runState.isLive ? activity : nil
        return OutgoingPlan(
            address: address,
            stream: StreamPlan(
                configuration: configuration,
                ramSectionID: relayed?.ramSectionID ?? 1,
                opensReturnPath: capabilities[.returnPath],
                hasFooters: relayed?.deviceState.hasFooters ?? true
            ),
            sendsSwitchoverStart: relayed?.hadSwitchoverStart ?? dialect.sendsSwitchoverStart,
            blocks: memory.blocks,
            isMapped: capabilities[.mappedRAM],
            channelCount: capabilities[.multifd] ? Int(parameters.multifdChannels) : nil,
            multifd: multifdOptions,
            isDirect: capabilities[.mappedRAM] && parameters.directIO,
            detectsZeroPages: parameters.zeroPageDetection != .none,
            takesSnapshot: capabilities[.backgroundSnapshot],
            sendsDeltas: capabilities[.xbzrle],
            awaitsSwitchoverAck: capabilities[.switchoverAck],
            restraint: capabilities[.autoConverge]
                ? .throttle : capabilities[.dirtyLimit] ? .dirtyLimit : nil,
            sharesBlocks: capabilities[.mappedRAM] && parameters.xMappedRAMSave == .auto,
            integrity: parameters.xIntegrity.algorithm,
            leavesOutSharedBlocks: capabilities[.xIgnoreShared],
            guestAddresses: capabilities[.xIgnoreShared] ? guestAddresses : [:],
            obstacle: { activity?.obstacle(toSnapshot: false) },
            earlySections: relayed?.deviceState.early
                .encoded(footers: relayed?.deviceState.hasFooters ?? true) ?? []
        )
    }

    private var multifdOptions: MultifdSendOptions {
        let compression: MultifdCompression =
            switch parameters.multifdCompression {
            case .none: .none
            case .zlib: .zlib(level: Int(parameters.multifdZlibLevel))
            case .zstd: .zstd(level: Int(parameters.multifdZstdLevel))
            }
        return MultifdSendOptions(
            uuid: identity.uuid,
            compression: compression,
            zeroPages: parameters.zeroPageDetection == .legacy ? .onMain : .inPackets,
            flushesEachSection: dialect.flushesEachSection,
            usesZeroCopy: capabilities[.zeroCopySend]
        )
    }

    private func launch(
        _ plan: OutgoingPlan,
        _ opened: (transport: OutgoingTransport, channels: OutgoingChannels?),
        _ orders: MigrationOrders
    ) throws(MigrationError) {
        let (transport, channels) = opened
        orders.attach { transport.abort() }
        let (reports, door) = AsyncStream<OutgoingReport>.makeStream()
        let statistics = statistics
        let box = DeviceStateBox(currentDeviceState)
        finalDeviceState = box
        let thread: NamedThread
        do {
            thread = try NamedThread.start(name: "berth-send") {
                let worker = OutgoingWorker(
                    plan,
                    orders: orders,
                    statistics: statistics,
                    deviceState: { box.state },
                    report: { door.yield($0) }
                )
                worker.run(transport, channels)
                door.finish()
            }
        } catch {
            throw MigrationError("cannot start the migration: \(error)")
        }
        outgoingWork = Work(
            thread: thread,
            orders: orders,
            isOverSocket: plan.address.isSocket
        )
        Task {
            for await report in reports {
                handle(report)
            }
        }
    }

    // MARK: Reports and actions

    private func handle(_ report: OutgoingReport) {
        switch report {
        case .setUp:
            perform(outgoing.handle(.setUp))
        case .pass(let count):
            if capabilities[.events] {
                environment.emit(.migrationPass(pass: Int64(clamping: count)))
            }
        case .converged:
            guard outgoing.status == .active, quiesce() else { return }
            perform(outgoing.handle(.converged))
        case .instantTaken:
            perform(outgoing.handle(.instantTaken))
        case .restrain(let restraint):
            guard outgoing.status == .active else { return }
            restrain(restraint)
        case .saved(let image):
            images.save = image
        case .ended(let error):
            // The thread has said its last word; joining it takes no time.
            outgoingWork?.thread.join()
            outgoingWork = nil
            restrain(nil)
            if outgoing.status != .cancelling {
                // The first error is the cause of those that follow.
                outgoingError = outgoingError ?? error?.sentence
            }
            perform(outgoing.handle(error == nil ? .finished : .failed))
        }
    }

    func perform(_ actions: [OutgoingStateMachine.Action]) {
        for action in actions {
            switch action {
            case .report(let status):
                if status == .completed {
                    outgoingTimes.end = .now
                }
                reportMigration(status)
            case .stopGuest:
                if runState.stopForMigration() {
                    environment.emit(.stop)
                }
            case .holdGuest:
                if runState.holdForSnapshot() {
                    environment.emit(.stop)
                }
            case .restoreGuest:
                outgoingTimes.resumption = .now
                if runState.restoreAfterMigration() {
                    activity?.resume()
                    environment.emit(.resume)
                }
            case .releaseGuest:
                runState.releaseAfterMigration()
            case .releaseWorker:
                finalDeviceState?.state = currentDeviceState
                outgoingWork?.orders.allowFinish()
            case .abortWork:
                outgoingWork?.orders.cancel()
            }
        }
        if !outgoing.isRunning {
            for waiter in endWaiters {
                waiter.resume()
            }
            endWaiters = []
        }
    }

    /// Stops the guest's writers for the end of a migration.
    ///
    /// - Returns: false if that wasn't possible; the migration fails then.
    private func quiesce() -> Bool {
        outgoingTimes.stop = .now
        guard runState.isLive else { return true }
        do {
            try activity?.pause()
            return true
        } catch {
            outgoingError = error.sentence
            outgoingWork?.orders.cancel()
            return false
        }
    }

    /// Holds the guest's writers back, or lets them go.
    func restrain(_ restraint: GuestRestraint?) {
        guard restraint != self.restraint else { return }
        self.restraint = restraint
        var percentage = 0
        var limit: UInt64?
        switch restraint {
        case .throttle(let share): percentage = share
        case .dirtyLimit(let megabytes):
            limit = megabytes.multipliedReportingOverflow(by: 1 << 20).partialValue
        case nil: break
        }
        activity?.throttle(percentage: percentage)
        activity?.limitDirtyRate(bytesPerSecond: limit)
    }

    /// The device state to send: the foreign guest's, with the run state of this moment.
    private var currentDeviceState: DeviceState {
        let state = runState.stateForStream.rawValue
        return relayed?.deviceState.patchingRunState(state)
            ?? DeviceState.fresh(runState: state, machineName: identity.machineType)
    }
}
