/// Where in the arguments of a command a value is, so that an error can say so.
public struct ArgumentPlace: Sendable {
    private enum Step: Sendable {
        case root
        case member(String)
        case element(Int)
    }

    /// Boxed, and made only where values nest, so that flat arguments cost nothing.
    private final class Container: Sendable {
        let place: ArgumentPlace
        init(_ place: ArgumentPlace) { self.place = place }
    }

    private let step: Step
    private let container: Container?
    /// How scalars are written here.
    public let spelling: ArgumentSpelling

    /// The arguments as a whole.
    public init(spelling: ArgumentSpelling = .json) {
        step = .root
        container = nil
        self.spelling = spelling
    }

    private init(_ step: Step, in place: ArgumentPlace) {
        self.step = step
        spelling = place.spelling
        if case .root = place.step {
            container = nil
        } else {
            container = Container(place)
        }
    }

    /// A member of the object that is here.
    public func member(_ name: String) -> ArgumentPlace {
        ArgumentPlace(.member(name), in: self)
    }

    /// An element of the list that is here.
    public func element(_ index: Int) -> ArgumentPlace {
        ArgumentPlace(.element(index), in: self)
    }

    /// The path from the top: `channels[0].addr.port`.
    public var fullName: String {
        switch step {
        case .root: ""
        case .member(let name): container.map { $0.place.fullName + "." + name } ?? name
        case .element(let index): (container?.place.fullName ?? "") + "[\(index)]"
        }
    }

    /// The last part of the path.
    ///
    /// Elements of lists have no name; QEMU then says `null`, and so do
    /// we.
    public var shortName: String {
        if case .member(let name) = step { name } else { "null" }
    }
}

// The texts are QEMU's, word for word: scripts and test suites have them in their expectations.
extension ArgumentPlace {
    func missing() -> QMPError {
        QMPError("Parameter '\(fullName)' is missing")
    }

    func unexpected() -> QMPError {
        switch spelling {
        case .json, .keyval: QMPError("Parameter '\(fullName)' is unexpected")
        case .options: QMPError("Invalid parameter '\(fullName)'")
        }
    }

    func wrongType(expected: String) -> QMPError {
        QMPError("Invalid parameter type for '\(fullName)', expected: \(expected)")
    }

    func expects(_ what: String) -> QMPError {
        QMPError("Parameter '\(fullName)' expects \(what)")
    }

    /// A number that is one, but too large for its type.
    func outOfRange(_ type: String) -> QMPError {
        QMPError("Parameter '\(shortName)' expects \(type)")
    }

    func unknownValue(_ value: String) -> QMPError {
        QMPError("Parameter '\(shortName)' does not accept value '\(value)'")
    }
}
