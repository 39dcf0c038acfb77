import BerthMemory
import BerthMigration
import BerthQAPI
import BerthTransport

extension EndpointProfile {
    /// What a command line asks for.
    /// - Throws: `QMPError` for a memory backend that Berth can't make, or a stream without parts
    ///   that it always sends.
    init(_ configuration: EndpointConfiguration) throws(QMPError) {
        let stream = configuration.migration.stream
        let missing = [
            ("store-global-state", stream.storesGlobalState),
            ("send-configuration", stream.sendsConfiguration),
            ("send-section-footer", stream.sendsSectionFooters),
        ].first { !$0.1 }
        if let missing {
            throw QMPError(
                "-global migration.\(missing.0)=off is not built into this version of Berth",
                hint: "no machine type since 2.4 needs it"
            )
        }
        var backends: [MemoryBackend] = []
        for options in configuration.memoryBackends {
            backends.append(try MemoryBackend(options))
        }
        self.init(
            identity: GuestIdentity(
                machineType: configuration.machine.name,
                name: configuration.name,
                uuid: configuration.uuid
            ),
            architecture: SystemEmulatorTarget(rawValue: configuration.machine.architecture)
                ?? .x8664,
            memoryByteCount: configuration.memoryByteCount,
            backends: backends,
            ramBlocks: configuration.ramBlocks,
            writers: configuration.writers,
            isIncoming: configuration.incoming != nil,
            autostart: !configuration.startsPaused,
            dialect: StreamDialect(
                sendsSwitchoverStart: stream.sendsSwitchoverStart,
                flushesEachSection: stream.flushesMultifdEachSection
            )
        )
    }
}

extension Endpoint {
    /// Applies the command line's settings and begins: with the incoming migration, or with the
    /// guest.
    func prepare(_ configuration: EndpointConfiguration) async throws(QMPError) {
        do throws(MigrationError) {
            try await controller.setCapabilities(configuration.migration.capabilities)
            var parameters = await controller.parameterValues
            do {
                try parameters.apply(configuration.migration.parameters)
            } catch {
                throw MigrationError(error.desc)
            }
            try await controller.setParameters(parameters)
        } catch {
            throw QMPError("can't apply global migration settings: \(error.message)")
        }
        guard let incoming = configuration.incoming else {
            return await controller.startUp()
        }
        guard let address = incoming.address else { return }
        do {
            try await controller.migrateIncoming(
                from: address,
                exitOnError: true,
                resources: TransportResources(fdSets: fdSets)
            )
        } catch {
            throw QMPError("\(incoming.location): \(error.message)", hint: error.hint)
        }
    }
}
