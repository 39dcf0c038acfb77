import Foundation

extension PeerGuest {
    /// What libvirt calls the guests of these tests; a restore finds it in the image.
    public static let domainName = "berth-guest"

    /// libvirt's description of this guest: of what `PeersMachine` starts, and nothing else.
    ///
    /// - Parameter type: "kvm" or "qemu".
    public func domainXML(type: String) throws -> String {
        guard let qemu = Peers.qemu else { throw PeerFailure("QEMU 10 isn't on this machine") }
        // libvirt starts no machine without firmware; it carries the description of one along.
        let loader = firmware.map { "<loader type='rom'>\($0)</loader>" } ?? ""
        return """
            <domain type='\(type)'>
              <name>\(Self.domainName)</name>
              <uuid>b7e27000-0b5e-4a6b-9d0c-5ca1ab1e0001</uuid>
              <memory unit='b'>\(memoryByteCount)</memory>
              <memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>
              <vcpu>1</vcpu>
              <os>
                <type arch='x86_64' machine='\(machine.name(ofVersion: version))'>hvm</type>
                \(loader)
              </os>
              <features><acpi/></features>
              <devices>
                <emulator>\(qemu)</emulator>
                <controller type='usb' model='none'/>
                <memballoon model='none'/>
              </devices>
            </domain>
            """
    }
}

/// A running guest of libvirt; it is destroyed with the object.
public final class PeersDomain {
    /// The file behind its memory, there as long as it runs.
    public let memoryPath: String
    private let libvirt: PeersLibvirt
    private var isGone = false

    /// Starts a guest from its reset.
    public init(starting guest: PeerGuest, in directory: PeersDirectory, of libvirt: PeersLibvirt)
        throws
    {
        let file = directory.file("domain-\(UInt32.random(in: 0 ... .max)).xml")
        try guest.domainXML(type: libvirt.domainType)
            .write(toFile: file, atomically: false, encoding: .utf8)
        try libvirt.run(["create", file])
        self.libvirt = libvirt
        memoryPath = try Self.memoryPath(of: libvirt)
    }

    /// Restores a guest from a save file; it stands still.
    public init(restoring image: String, options: [String] = [], by libvirt: PeersLibvirt) throws {
        try libvirt.run(["restore", image, "--paused"] + options)
        self.libvirt = libvirt
        memoryPath = try Self.memoryPath(of: libvirt)
    }

    /// The guest that libvirt has running, however it was started.
    public init(runningIn libvirt: PeersLibvirt) throws {
        self.libvirt = libvirt
        memoryPath = try Self.memoryPath(of: libvirt)
    }

    deinit {
        if !isGone { _ = try? libvirt.run(["destroy", PeerGuest.domainName]) }
    }

    private static func memoryPath(of libvirt: PeersLibvirt) throws -> String {
        let number = try libvirt.run(["domid", PeerGuest.domainName])
        return "\(libvirt.memoryFolder)/\(number)-\(PeerGuest.domainName)/pc.ram"
    }

    /// Runs a command of virsh on this guest.
    ///
    /// - Returns: What it printed.
    @discardableResult
    public func run(_ command: String, _ arguments: [String] = []) throws -> String {
        try libvirt.run([command, PeerGuest.domainName] + arguments)
    }

    /// Saves the guest, which ends it.
    public func save(to image: String, options: [String]) throws {
        try run("save", [image] + options)
        isGone = true
    }
}
