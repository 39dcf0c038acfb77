public import BerthMemory
public import BerthQAPI
import BerthStream
import BerthSystem
import BerthTransport
import BerthWire

/// The control plane of an endpoint: the guest's run state and its migrations.
///
/// Overview: the two state machines decide, this actor performs. Data threads talk to it through
/// `OutgoingReport` and `IncomingReport`, it talks to them through `MigrationOrders`; nothing here
/// waits for a data thread that is still at work, so a query is answered at any time.
///
/// Function: every action of a decision is performed without a suspension in between, so that
/// events leave in the order of the decisions.
public actor MigrationController {
    /// What the controller needs of its surroundings.
    public struct Environment: Sendable {
        /// Sends an event to the monitors, in the order of the calls.
        public var emit: @Sendable (QMPEvent) -> Void
        /// Ends the process with this exit status and, unless empty, a line on standard error.
        public var exit: @Sendable (_ status: Int32, _ message: String) -> Void
        /// Tells whoever looks after the process what went wrong: one phrase.
        public var complain: @Sendable (_ message: String) -> Void

        /// Gathers the surroundings.
        public init(
            emit: @escaping @Sendable (QMPEvent) -> Void,
            exit: @escaping @Sendable (_ status: Int32, _ message: String) -> Void,
            complain: (@Sendable (_ message: String) -> Void)? = nil
        ) {
            self.emit = emit
            self.exit = exit
            self.complain = complain ?? { StandardError.write("berth: \($0)\n") }
        }
    }

    let environment: Environment
    /// Machine, name and UUID.
    public let identity: GuestIdentity
    var memory: GuestMemory
    /// The blocks that the endpoint's own options made.
    let ownBlocks: [RAMBlock]
    let activity: (any GuestActivity)?
    var runState: RunStateMachine
    /// What the last completed incoming migration brought beside the memory.
    var relayed: ReceivedStream?
    let dialect: StreamDialect

    var capabilities = CapabilitySet()
    var parameters = MigrationParameters()

    var outgoing = OutgoingStateMachine()
    var outgoingWork: Work?
    var outgoingError: String?
    var finalDeviceState: DeviceStateBox?
    var outgoingTimes = MigrationTimes()
    var statistics = TransferStatistics()
    /// What holds the guest back at present.
    var restraint: GuestRestraint?
    /// Those who wait for a cancelled migration to end.
    var endWaiters: [CheckedContinuation<Void, Never>] = []

    var dirtyRate: DirtyRateState?
    var images = ImageRecords()

    var incoming = IncomingStateMachine()
    var incomingWork: Work?
    var incomingError: String?
    /// A guest on its way from the data thread into the endpoint.
    var loaded: LoadedGuest?
    var incomingAddresses: [BerthTransport.MigrationAddress] = []
    var exitsOnError = true

    /// A data thread and the way to it.
    struct Work {
        let thread: NamedThread
        let orders: MigrationOrders
        let isOverSocket: Bool
    }

    /// Makes the controller of a fresh guest.
    ///
    /// - Parameters:
    ///   - isIncoming: the endpoint was started with `-incoming`.
    ///   - autostart: false with `-S`.
    ///   - activity: writers of this process that stop and go with the guest.
    public init(
        identity: GuestIdentity,
        memory: GuestMemory,
        isIncoming: Bool,
        autostart: Bool,
        dialect: StreamDialect = StreamDialect(),
        activity: (any GuestActivity)? = nil,
        environment: Environment
    ) {
        self.identity = identity
        self.memory = memory
        ownBlocks = memory.blocks
        self.activity = activity
        self.environment = environment
        self.dialect = dialect
        runState = RunStateMachine(isIncoming: isIncoming, autostart: autostart)
    }

    // MARK: Run state

    /// The run state, and whether the guest's writers run.
    public var status: (state: RunState, isRunning: Bool) {
        (runState.state, runState.state == .running)
    }

    /// Starts the guest at the end of the endpoint's own start-up, unless `-S` or `-incoming`.
    public func startUp() {
        guard runState.state == .prelaunch, runState.autostart else { return }
        try? resume()
    }

    /// QMP `stop`.
    /// - Throws: `MigrationError` if one of the guest's writers doesn't stop; the guest runs on then.
    public func stop() throws(MigrationError) {
        if runState.isLive {
            try activity?.pause()
        }
        if runState.stop() {
            environment.emit(.stop)
        }
        outgoingWork?.orders.isGuestLive = runState.isLive
    }

    /// QMP `cont`.
    /// - Throws: `MigrationError` in a state that the guest can't leave this way.
    public func resume() throws(MigrationError) {
        if try runState.resume() {
            activity?.resume()
            environment.emit(.resume)
        }
        outgoingWork?.orders.isGuestLive = runState.isLive
    }

    /// QMP `system_reset`: the guest has no CPU to reset; only its run state changes.
    public func reset() {
        runState.reset()
    }

    /// The guest's RAM blocks at this moment.
    public var blocks: [RAMBlock] { memory.blocks }

    /// The same where they can be looked at: the guest is stopped, and all of it is here.
    /// - Throws: `MigrationError` otherwise.
    public func stoppedBlocks(for purpose: String) throws(MigrationError) -> [RAMBlock] {
        guard !runState.isLive, runState.state != .inmigrate else {
            throw MigrationError(
                "cannot \(purpose) while the guest is in state '\(runState.state.rawValue)'",
                hint: "stop it first, or wait for the incoming migration"
            )
        }
        return memory.blocks
    }

    // MARK: Settings

    /// All capabilities in QEMU's order.
    public var capabilityStates: [MigrationCapabilityStatus] { capabilities.all }

    /// QMP `migrate-set-capabilities`; all or nothing.
    /// - Throws: `MigrationError` for a rule broken, or while an outgoing migration runs.
    public func setCapabilities(
        _ changes: [MigrationCapabilityStatus]
    ) throws(MigrationError) {
        guard !outgoing.isRunning else {
            throw MigrationError(
                "capabilities cannot change while a migration runs",
                hint: "wait for its end, or cancel it with migrate_cancel"
            )
        }
        let next = try capabilities.applying(changes)
        try SettingRules.check(next, parameters)
        guard !next[.multifd] || capabilities[.multifd] || incomingWork?.isOverSocket != true
        else {
            throw MigrationError(
                "capability 'multifd' cannot be turned on: this endpoint listens already",
                hint: "turn it on before migrate-incoming"
            )
        }
        capabilities = next
    }

    /// All parameters.
    public var parameterValues: MigrationParameters { parameters }

    /// QMP `migrate-set-parameters`: judges the whole new set, then applies it.
    ///
    /// `MigrationLimits` has those that take effect on a running migration.
    /// - Throws: `MigrationError` for values that contradict each other or aren't built.
    public func setParameters(_ next: MigrationParameters) throws(MigrationError) {
        try ParameterRules.check(next, from: parameters)
        try SettingRules.check(capabilities, next)
        parameters = next
        outgoingWork?.orders.limits = MigrationLimits(parameters)
        if case .dirtyLimit = restraint {
            restrain(.dirtyLimit(megabytesPerSecond: parameters.vcpuDirtyLimit))
        }
    }

    func reportMigration(_ status: MigrationStatus) {
        if capabilities[.events] {
            environment.emit(.migration(status: status))
        }
    }

    // MARK: Shutdown

    /// Ends every migration at once: the process is about to exit.
    public func shutDown() {
        if outgoing.isRunning {
            perform(outgoing.handle(.cancel))
        }
        incomingWork?.orders.cancel()
        dirtyRate?.stop.signal()
        images.load?.end()
    }
}
