internal import BerthJSON
internal import BerthQAPI
internal import BerthSystem
internal import Synchronization

/// What executing an entry has led to.
private enum Outcome {
    case reply([UInt8])
    /// The negotiation has succeeded.
    case negotiated([UInt8], allowsOOB: Bool)
    /// The process is to end: nothing is answered after this.
    case quit([UInt8])
}

extension QMPSession: CommandDispatcher.Source {
    func runNext() async -> Bool {
        let (next, isNegotiated, allowsOOB) = state.withLock { state in
            let next: (Entry, MonitorClient)?
            if let client = state.client, !state.queue.isEmpty {
                next = (state.queue.removeFirst(), client)
                state.executingFor = client
                // With out-of-band execution there is room again, otherwise not before the reply.
                admit(&state)
            } else {
                next = nil
                state.isScheduled = false
            }
            return (next, state.isNegotiated, state.allowsOOB)
        }
        guard let (entry, client) = next else { return false }
        if allowsOOB { client.resumeInput() }
        bind(entry.descriptor)
        let outcome = await outcome(of: entry, isNegotiated: isNegotiated, allowsOOB: allowsOOB)
        if case .quit = outcome { dispatcher.close() }
        let hasMore = state.withLock { state in
            if state.client === client { finish(outcome, for: client, &state) }
            state.executingFor = nil
            admit(&state)
            state.isScheduled = !state.queue.isEmpty
            return state.isScheduled
        }
        client.resumeInput()
        return hasMore
    }

    func cancel() {}

    private func finish(_ outcome: Outcome, for client: MonitorClient, _ state: inout State) {
        switch outcome {
        case .reply(let bytes), .quit(let bytes): client.write(bytes)
        case .negotiated(let bytes, let allowsOOB):
            // Events only after this: qemu.qmp gives up if one comes before the reply.
            client.write(bytes)
            state.isNegotiated = true
            state.allowsOOB = allowsOOB
        }
    }

    /// Executes an entry at once, while others may be running.
    func executeOOB(_ entry: Entry, for client: MonitorClient) async {
        bind(entry.descriptor)
        let outcome = await outcome(of: entry, isNegotiated: true, allowsOOB: true)
        if case .reply(let bytes) = outcome { client.write(bytes) }
    }

    /// Makes the descriptor that came with an entry the one that the next command may take.
    private func bind(_ descriptor: OwnedDescriptorBox?) {
        if let descriptor { context.descriptors.setPending(descriptor) }
    }

    private func outcome(
        of entry: Entry,
        isNegotiated: Bool,
        allowsOOB: Bool
    ) async -> Outcome {
        let members: JSONObject
        switch entry.output {
        case .error(let description):
            return .reply(message.failure(QMPError(description), id: nil))
        case .value(.object(let object)): members = object
        case .value:
            let error = QMPError("QMP input must be a JSON object")
            return .reply(message.failure(error, id: nil))
        }
        let id = members["id"]
        do throws(QMPError) {
            let request = try QMPRequest(members, allowsOOB: allowsOOB)
            let command = try decode(request, isNegotiated: isNegotiated)
            return try await execute(command, isOOB: request.isOOB, isNegotiated, id: id)
        } catch {
            return .reply(message.failure(error, id: id))
        }
    }

    private func decode(
        _ request: QMPRequest,
        isNegotiated: Bool
    ) throws(QMPError) -> QMPCommand {
        guard isNegotiated || request.name == "qmp_capabilities" else {
            throw QMPError(
                "Expecting capabilities negotiation with 'qmp_capabilities'",
                class: .commandNotFound
            )
        }
        guard let info = QMPSchema.command(named: request.name) else {
            throw .commandNotFound(request.name)
        }
        guard !request.isOOB || info.allowsOOB else {
            throw QMPError("The command \(request.name) does not support OOB")
        }
        return try QMPCommand.decode(name: request.name, arguments: request.arguments)
    }

    private func execute(
        _ command: QMPCommand,
        isOOB: Bool,
        _ isNegotiated: Bool,
        id: JSONValue?
    ) async throws(QMPError) -> Outcome {
        switch command {
        case .qmpCapabilities(let arguments):
            guard !isNegotiated else {
                throw QMPError(
                    "Capabilities negotiation is already complete, command ignored",
                    class: .commandNotFound
                )
            }
            return .negotiated(
                message.success([:], id: id),
                allowsOOB: arguments.enable?.contains(.oob) ?? false
            )
        case .queryCommands:
            return .reply(message.success(QMPSchema.commandList(), id: id))
        case .queryQMPSchema:
            return .reply(message.success(text: QMPSchema.introspectionJSON, id: id))
        case .quit:
            let value = try await handler.execute(command, monitor: context)
            return .quit(message.success(value, id: id))
        default:
            let value =
                isOOB
                ? try await handler.executeOOB(command, monitor: context)
                : try await handler.execute(command, monitor: context)
            return .reply(message.success(value, id: id))
        }
    }
}
