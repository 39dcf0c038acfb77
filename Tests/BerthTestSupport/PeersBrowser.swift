public import Foundation

/// A real browser without a window, which opens a page from a file.
public struct PeersBrowser {
    private let program: String
    private let directory: PeersDirectory

    /// A browser with a profile of its own in the folder; throws if there is none.
    public init(in directory: PeersDirectory) throws {
        guard let program = Peers.browser else { throw PeerFailure("there is no browser") }
        self.program = program
        self.directory = directory
    }

    /// Opens a page and gives what it became, as HTML, and what the browser had to complain about.
    ///
    /// - Parameter width: of the window, at least 500 pixels: no window is narrower.
    public func open(
        _ path: String,
        width: Int = 1200
    ) throws -> (document: String, complaints: String) {
        let process = try run(["--dump-dom", "--window-size=\(width),1600"], path)
        let complaints = process.errorOutput.split(separator: "\n")
            .filter { $0.contains("CONSOLE") }
        return (process.output, complaints.joined(separator: "\n"))
    }

    /// Makes a picture of the page, PNG.
    public func screenshot(of path: String, width: Int, height: Int) throws -> Data {
        let file = directory.file("screenshot.png")
        try run(["--screenshot=\(file)", "--window-size=\(width),\(height)"], path)
        return try Data(contentsOf: URL(fileURLWithPath: file))
    }

    /// Prints the page on paper, PDF.
    public func print(_ path: String) throws -> Data {
        let file = directory.file("page.pdf")
        try run(["--print-to-pdf=\(file)", "--no-pdf-header-footer"], path)
        return try Data(contentsOf: URL(fileURLWithPath: file))
    }

    @discardableResult
    private func run(_ options: [String], _ path: String) throws -> PeersProcess {
        // It opens nothing but pages of the test's own; its sandbox can't be had by root or in
        // containers.
        let arguments =
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
            + ["--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars"]
            + ["--enable-logging=stderr", "--user-data-dir=\(directory.file("profile"))"]
        let process = try PeersProcess(
            arguments + options + ["file://\(path)"],
            in: directory
        )
        let status = try process.waitForExit(limit: .seconds(120))
        guard status == 0 else {
            throw PeerFailure("the browser ended with \(status): \(process.errorOutput)")
        }
        return process
    }
}
