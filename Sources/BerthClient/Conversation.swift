internal import BerthMonitor

/// A session with a monitor, line by line, whichever kind it is.
protocol Conversation: AnyObject {
    /// What precedes a line.
    var prompt: String { get }
    /// What to say at the start.
    var greeting: String { get }
    /// The connection, to wait for what comes without being asked for.
    var connection: MonitorConnection { get }

    /// Runs a line that was typed.
    ///
    /// - Returns: false when the other side reported an error.
    /// - Throws: `ClientError` when the line is wrong or the session broken.
    @available(*, noasync, message: "blocks its thread")
    func run(line: String, on output: any HMPConsole) throws(ClientError) -> Bool

    /// Runs a line that a shell has cut into words.
    @available(*, noasync, message: "blocks its thread")
    func run(words: [String], on output: any HMPConsole) throws(ClientError) -> Bool

    /// What could stand where a line ends.
    @available(*, noasync, message: "blocks its thread")
    func completion(of line: String) -> HMPCompletion

    /// What came without being asked for, as lines with their ends; empty if nothing did.
    @available(*, noasync, message: "blocks its thread")
    func takeNotices() throws(ClientError) -> String

    /// How far the migration is.
    @available(*, noasync, message: "blocks its thread")
    func migrationProgress() throws(ClientError) -> MigrationProgress

    /// The workloads, where the other side has any.
    @available(*, noasync, message: "blocks its thread")
    func workloads() throws(ClientError) -> [WorkloadProgress]
}
