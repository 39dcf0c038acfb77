import BerthJSON
public import BerthQAPI
import BerthStream
import BerthWire

extension VerificationReport {
    /// What was found, as `berth verify --json` prints it.
    public func report(for path: String) -> ImageCheckReport {
        ImageCheckReport(
            file: path,
            whole: isWhole,
            kind: kind.isEmpty ? nil : kind,
            size: received.map { $0.blocks.reduce(0) { $0 + UInt64($1.byteCount) } },
            compression: compression.flatMap { ImageCompression(rawValue: $0.rawValue) },
            seal: seal?.rawValue,
            content: contentCheck.reported,
            faults: faults.map(\.reported),
            notes: remarks.map(\.reported),
            problem: obstacle.map { ImageProblem(message: $0) }
        )
    }

    /// The same as text: one JSON object, with line breaks.
    public func json(for path: String) -> String {
        jsonText(report(for: path).toJSON())
    }

    /// The text of a file that could not be read at all.
    public static func json(of error: ImageError, for path: String) -> String {
        var report = VerificationReport().report(for: path)
        report.whole = false
        report.problem = ImageProblem(
            message: error.description,
            hint: error.hint,
            offset: error.offset
        )
        return jsonText(report.toJSON())
    }
}

extension VerificationReport.Fault {
    fileprivate var reported: ImageFault {
        ImageFault(
            offset: offset,
            unpacked: offset != nil && isUnpacked,
            what: what,
            meaning: meaning
        )
    }
}

extension VerificationReport.ContentCheck {
    fileprivate var reported: ImageContentCheck {
        switch self {
        case .none, .compressedWithoutChecksum: .none
        case .sealed: .seal
        case .compressed: .compression
        }
    }
}
