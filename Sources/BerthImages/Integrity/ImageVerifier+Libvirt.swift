import BerthStream
import BerthTransport
import BerthWire

extension ImageVerifier {
    /// Checks what libvirt put before the stream, as libvirt does when it restores, and more.
    func checkLibvirt(
        _ image: GuestImage,
        _ file: Channel,
        _ report: inout VerificationReport
    ) {
        guard let save = image.libvirt else { return }
        report.isBeforeStream = true
        defer { report.isBeforeStream = false }
        let header = save.header
        if header.isPartial {
            report.add(
                at: 0,
                "libvirt's mark of an unfinished save is set",
                "libvirt refuses it ('save image is incomplete'); if the rest is whole, "
                    + "'berth convert' makes a finished one"
            )
        }
        if header.isByteSwapped {
            report.remark(
                at: 16,
                "libvirt's header was written by a host with the other byte order",
                "libvirt reads it all the same"
            )
        }
        if header.version != LibvirtSaveHeader.currentVersion {
            let meaning =
                header.version > LibvirtSaveHeader.currentVersion
                ? "libvirt refuses it ('image version is not supported')"
                : "libvirt 11.3 takes the stream for one that isn't compressed"
            report.add(at: 16, "libvirt's header has version \(header.version), not 2", meaning)
        }
        if save.format == nil {
            report.add(
                at: 28,
                "libvirt's header has the format \(header.format), which isn't known",
                "libvirt 11.3 refuses it ('unsupported save image format')"
            )
        }
        checkTexts(save, image.fileByteCount, &report)
        checkPayload(image, save, &report)
    }

    /// Checks lengths, the XML and the cookie.
    private func checkTexts(
        _ save: LibvirtSave,
        _ fileByteCount: UInt64,
        _ report: inout VerificationReport
    ) {
        let header = save.header
        let start = UInt64(LibvirtSaveHeader.byteCount)
        let dataByteCount = UInt64(header.dataByteCount)
        guard dataByteCount > 0 else {
            report.add(
                at: 20,
                "libvirt's header says that no XML follows it",
                "libvirt refuses it ('invalid header data length')"
            )
            return
        }
        guard save.streamOffset <= fileByteCount else {
            report.add(
                at: 20,
                "libvirt's header says that the stream begins at "
                    + "0x\(String(save.streamOffset, radix: 16)), the file has \(fileByteCount) bytes",
                Self.notLoaded
            )
            return
        }
        let cookieOffset = UInt64(header.cookieOffset)
        let xmlLimit = cookieOffset > 0 ? min(cookieOffset, dataByteCount) : dataByteCount
        if save.xml.isEmpty {
            report.add(
                at: start,
                "there is no domain XML",
                "libvirt refuses it; 'berth convert --xml' puts one in"
            )
        } else if !save.xml.drop(while: { [0x20, 0x09, 0x0a, 0x0d].contains($0) }).starts(with: [
            0x3c
        ]) {
            report.add(
                at: start,
                "what stands in the place of the domain XML isn't XML",
                "libvirt refuses it; 'berth convert --xml' puts one in"
            )
        } else if UInt64(save.xml.count) >= xmlLimit {
            report.add(
                at: start + xmlLimit,
                "the domain XML doesn't end before \(cookieOffset > 0 ? "the cookie" : "the stream")",
                "libvirt reads past its end; 'berth convert --xml' puts another in"
            )
        } else {
            do throws(DomainDefinition.Fault) {
                _ = try DomainDefinition(parsing: save.xml)
            } catch {
                report.add(
                    at: start + UInt64(error.offset),
                    "the domain XML \(error.what)",
                    "libvirt refuses it; 'berth convert --xml' puts another in"
                )
            }
        }
        guard cookieOffset > 0 else { return }
        guard cookieOffset < dataByteCount else {
            report.add(
                at: 32,
                "libvirt's header says that its cookie is at "
                    + "0x\(String(start + cookieOffset, radix: 16)), inside the stream",
                "libvirt refuses it"
            )
            return
        }
        if let cookie = save.cookie, cookieOffset + UInt64(cookie.count) >= dataByteCount {
            report.add(
                at: start + cookieOffset,
                "libvirt's cookie doesn't end before the stream",
                "libvirt reads past its end"
            )
        }
    }

    /// Checks that what follows is what the header's format says.
    private func checkPayload(
        _ image: GuestImage,
        _ save: LibvirtSave,
        _ report: inout VerificationReport
    ) {
        // Where no stream is to be seen, reading it will say so.
        guard image.hasStream, let format = save.format, image.compression != format.compression
        else { return }
        let found = image.compression?.rawValue ?? "not compressed"
        report.add(
            at: 28,
            "libvirt's header has the format \(format), the stream is \(found)",
            "libvirt can't restore it; 'berth convert' makes a right one"
        )
    }

    /// Compares the domain's XML with the stream.
    func checkDomain(
        _ image: GuestImage,
        _ received: ReceivedStream,
        _ report: inout VerificationReport
    ) {
        guard let save = image.libvirt, let format = save.format else { return }
        report.isBeforeStream = true
        defer { report.isBeforeStream = false }
        let isMapped = received.configuration.capabilities.contains("mapped-ram")
        if isMapped, format != .sparse {
            report.add(
                at: 28,
                "libvirt's header has the format \(format), the stream is in the layout mapped-ram",
                "libvirt can't restore it; 'berth convert' makes a right one"
            )
        } else if !isMapped, format == .sparse {
            report.remark(
                at: 28,
                "libvirt's header has the format sparse, the stream is sequential",
                "libvirt 11.3 writes the memory of external snapshots so: it reverts to them, but "
                    + "'virsh restore' fails"
            )
        }
        // What isn't a definition has been told.
        guard let definition = try? DomainDefinition(parsing: save.xml) else { return }
        for contradiction in definition.contradictions(to: received.configuration) {
            report.add(
                at: UInt64(LibvirtSaveHeader.byteCount),
                contradiction,
                "QEMU refuses to load it; the XML is another guest's, or was changed"
            )
        }
    }
}
