import BerthTestSupport
import Testing

extension SavedGuest {
    /// Has libvirt restore the guest from a save file of its kind, and QEMU from a bare stream.
    ///
    /// Expects the memory to be what it was, and the guest to go on counting. libvirt has no machine
    /// without devices; there QEMU is given the stream that lies in the save file.
    func expectRestored(from image: String, _ form: ImageForm, options: [String] = []) throws {
        if form.isLibvirt, guest.machine != .none {
            try expectRestoredByLibvirt(image, options: options)
        } else {
            try expectRestoredByQEMU(image, form)
        }
    }

    private func expectRestoredByLibvirt(_ image: String, options: [String]) throws {
        let libvirt = try #require(PeersLibvirt.current)
        let domain = try PeersDomain(restoring: image, options: options, by: libvirt)
        try expectSameMemory(memory, domain.memoryPath)
        let arrived = try CounterState(memoryPath: domain.memoryPath)
        try domain.run("resume")
        try domain.waitForRounds(2, beyond: arrived)
        try domain.run("suspend")
        #expect(try CounterState.findings(memoryPath: domain.memoryPath) == [])
    }

    private func expectRestoredByQEMU(_ image: String, _ form: ImageForm) throws {
        let machine = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
        if form.isMapped { try machine.setCapability("mapped-ram", true) }
        try machine.migrateIncoming(from: form.address(of: image))
        try machine.waitForCompletion()
        try expectSameMemory(memory, machine.memoryPath)
        if guest.firmware != nil {
            let arrived = try CounterState(memoryPath: machine.memoryPath)
            try machine.monitor.execute("cont")
            try machine.waitForRounds(2, beyond: arrived)
            try machine.monitor.execute("stop")
            #expect(try CounterState.findings(memoryPath: machine.memoryPath) == [])
        }
        try machine.quit()
    }
}
