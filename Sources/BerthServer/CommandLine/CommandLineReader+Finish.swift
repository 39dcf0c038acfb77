import BerthQAPI

extension CommandLineReader {
    /// Does what depends on several options, in the order in which QEMU comes to it.
    mutating func finish() throws(CommandLineError) -> EndpointConfiguration {
        guard draft.incoming == nil || !draft.hasSnapshot else {
            throw CommandLineError("'incoming' and 'loadvm' options are mutually exclusive")
        }
        let descriptors = try finishDescriptors()
        let machine = try finishMachine()
        let (devices, monitors) = try finishDevices()
        let cpuCount = try finishProcessors(machine)
        try finishAccelerators()
        let objects = try finishObjects()
        let globals = try finishGlobals(machine)
        let memory = try finishMemory(machine, objects.filter { $0.variant.backend != nil })
        guard !draft.hasSnapshot else {
            throw CommandLineError("no block device can store vmstate for snapshot")
        }
        var configuration = EndpointConfiguration(machine: machine, messageFormat: draft.format)
        configuration.cpuCount = cpuCount
        configuration.memoryByteCount = memory.byteCount
        configuration.memoryBackends = memory.backends
        configuration.ramBlocks = memory.blocks
        configuration.writers = objects.filter { $0.variant.backend == nil }
        configuration.otherObjects = draft.otherObjects
        configuration.name = draft.name
        configuration.processName = draft.processName
        configuration.uuid = draft.uuid
        configuration.startsPaused = draft.startsPaused
        configuration.incoming = draft.incoming
        configuration.migration = globals
        configuration.isOnlyMigratable = draft.isOnlyMigratable
        configuration.devices = devices
        configuration.monitors = monitors
        configuration.addedDescriptors = descriptors
        configuration.pidFile = draft.pidFile
        configuration.daemonizes = draft.daemonizes
        configuration.actions = draft.actions
        return configuration
    }
}
