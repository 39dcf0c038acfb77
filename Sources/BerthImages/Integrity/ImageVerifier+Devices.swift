import BerthStream
import BerthWire

extension ImageVerifier {
    /// Compares the device sections with the stream's own description of them.
    func checkDevices(_ received: ReceivedStream, _ report: inout VerificationReport) {
        let state = received.deviceState
        guard let text = state.description else {
            report.add(
                at: received.places.end,
                "the stream ends without a description of its devices",
                "QEMU loads it if nothing else is missing; a stream that was cut off just here "
                    + "looks the same"
            )
            return
        }
        let descriptionOffset = received.places.end - min(UInt64(text.count), received.places.end)
        guard !text.isEmpty else {
            report.remark(
                at: descriptionOffset,
                "the description of devices is empty",
                "QEMU doesn't look at it; the sections can't be compared with it"
            )
            return
        }
        let description: VMDescription
        do throws(WireError) {
            description = try VMDescription(parsing: text, at: descriptionOffset)
        } catch {
            report.add(
                at: descriptionOffset,
                "the description of devices can't be read: \(error.what)",
                "QEMU doesn't look at it; the sections can't be compared with it"
            )
            return
        }
        compare(sections(received), description, descriptionOffset, &report)
    }

    /// Sections that a description lists, with their places.
    private func sections(
        _ received: ReceivedStream
    ) -> [(section: DeviceSection, offset: UInt64?)] {
        let state = received.deviceState
        let places = received.places
        let all =
            zip(state.early.sections.indices, state.early.sections).map {
                ($0.1, places.early.indices.contains($0.0) ? places.early[$0.0] : nil)
            }
            + zip(state.final.sections.indices, state.final.sections).map {
                ($0.1, places.final.indices.contains($0.0) ? places.final[$0.0] : nil)
            }
        return all.filter { $0.0.kind == .full }
    }

    private func compare(
        _ sections: [(section: DeviceSection, offset: UInt64?)],
        _ description: VMDescription,
        _ descriptionOffset: UInt64,
        _ report: inout VerificationReport
    ) {
        let devices = description.devices
        if devices.count != sections.count {
            report.add(
                at: descriptionOffset,
                "the stream has \(sections.count) device sections, its description lists "
                    + "\(devices.count)",
                "a section is missing or too many; the guest's devices may not be as they were"
            )
        }
        for (index, ((section, offset), device)) in zip(sections, devices).enumerated() {
            let name = section.identity.name
            guard name == device.name, section.identity.instance == device.instance else {
                report.add(
                    at: offset,
                    "device section \(index) is '\(name)', instance \(section.identity.instance); "
                        + "the description has '\(device.name)', instance \(device.instance)",
                    "QEMU refuses a section that it doesn't know"
                )
                // What follows is most likely the same, moved by one.
                if devices.count != sections.count { return }
                continue
            }
            guard UInt64(section.body.count) != device.bodyByteCount else { continue }
            report.add(
                at: offset,
                "device section '\(name)' has \(section.body.count) bytes, the description says "
                    + "\(device.bodyByteCount)",
                "the section is damaged, or the description; QEMU goes by the section"
            )
        }
    }
}
