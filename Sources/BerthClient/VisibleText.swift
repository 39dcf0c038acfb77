/// Text from the other side, made fit to be shown: it must not steer the terminal.
enum VisibleText {
    /// The text in one line; control characters are blanks.
    static func line(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            result.unicodeScalars.append(isControl(scalar) ? " " : scalar)
        }
    }

    /// The text with its line ends as LF and no other control characters but tabs.
    static func lines(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            if scalar == "\n" || scalar == "\t" || !isControl(scalar) {
                result.unicodeScalars.append(scalar)
            }
        }
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control
    }
}
