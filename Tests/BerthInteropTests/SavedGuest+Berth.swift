import BerthTestSupport
import Foundation
import Testing

/// Runs Berth's program and expects it to succeed.
///
/// - Returns: What it printed.
@discardableResult
func runBerth(_ arguments: [String], in directory: PeersDirectory) throws -> String {
    let process = try PeersProcess([try #require(Peers.berth)] + arguments, in: directory)
    let status = try process.waitForExit()
    guard status == 0 else {
        throw PeerFailure(
            "berth \(arguments.joined(separator: " ")) ended with \(status): "
                + process.errorOutput + process.output
        )
    }
    return process.output
}

extension SavedGuest {
    /// Runs Berth's program and expects it to succeed.
    ///
    /// - Returns: What it printed.
    @discardableResult
    func berth(_ arguments: [String]) throws -> String {
        try runBerth(arguments, in: directory)
    }

    /// Makes an image of another form.
    ///
    /// - Parameter source: The image to convert; the saved one if nil.
    /// - Returns: The new image's path.
    func converted(
        to form: ImageForm,
        from source: String? = nil,
        options: [String] = []
    ) throws -> String {
        let output = directory.file("converted-\(form.rawValue)-\(UInt32.random(in: 0 ... .max))")
        try berth(["convert", source ?? image, output, "--format", form.rawValue] + options)
        return output
    }

    /// Expects `berth inspect` to know what an image is and to count its pages right, and `berth verify`
    /// to find it whole.
    ///
    /// - Parameter filledPageCount: How many pages of the memory aren't zero; counted if nil.
    func expectKnown(
        _ image: String,
        _ form: ImageForm,
        filledPageCount: Int? = nil
    ) throws {
        let text = try berth(["inspect", image, "--json"])
        let report = try JSONDecoder().decode(PeersJSON.self, from: Data(text.utf8))
        #expect(report["problem"] == nil)
        #expect(report["content"]?.string == (form.isLibvirt ? "libvirt" : "stream"))
        #expect(report["libvirt"]?["format-name"]?.string == form.libvirtName)
        #expect(report["compression"]?.string == form.decompressor)
        #expect(report["layout"]?.string == (form.isMapped ? "mapped-ram" : "sequential"))
        #expect(report["machine"]?.string == guest.machineName)

        let blocks = try #require(report["blocks"]?.elements)
        let main = try #require(blocks.first { $0["name"]?.string == guest.machine.memoryName })
        #expect(main["size"]?.integer == Int64(guest.memoryByteCount))
        let filled = try filledPageCount ?? PeersMemory.filledPageCount(of: memory)
        #expect(main["pages"]?["data"]?.integer == Int64(filled))
        let devices = try #require(report["devices"]?.elements)
        #expect(devices.contains { $0["name"]?.string == "cpu" } == (guest.machine != .none))
        #expect(devices.compactMap { $0["problem"]?.string } == [])

        try berth(["verify", image])
    }
}
