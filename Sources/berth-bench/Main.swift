import BerthSystem
import Glibc

/// Measures inside the process what parts of Berth's work cost.
@main
enum BerthBench {
    private static let usage = """
        usage: berth-bench tracking|snapshot|datapath [--json] [--mib N] [--file PATH]

          tracking  what finding writes costs, by mechanism and kind of memory, per GiB
          snapshot  what a background snapshot costs a writer at full speed
          datapath  what saving and loading costs beside the system's work, per layout
          --json    print JSON rather than a Markdown table
          --mib N   memory to measure with, in MiB; 1024 if left off
          --file P  image that datapath writes and removes; berth-bench.image if left off

        """

    static func main() {
        var arguments = Array(CommandLine.arguments.dropFirst())
        var isJSON = false
        var mebibytes = 1024
        if let index = arguments.firstIndex(of: "--json") {
            arguments.remove(at: index)
            isJSON = true
        }
        if let index = arguments.firstIndex(of: "--mib"), index + 1 < arguments.count {
            guard let count = Int(arguments[index + 1]), (2...1 << 20).contains(count) else {
                fail("--mib takes a number of MiB from 2 on\n")
            }
            mebibytes = count
            arguments.removeSubrange(index...index + 1)
        }
        var path = "berth-bench.image"
        if let index = arguments.firstIndex(of: "--file"), index + 1 < arguments.count {
            path = arguments[index + 1]
            arguments.removeSubrange(index...index + 1)
        }
        // Whole huge pages.
        let byteCount = (mebibytes + 1) / 2 * 2 << 20
        do {
            switch arguments {
            case ["tracking"]: report(try measureTracking(byteCount: byteCount), asJSON: isJSON)
            case ["snapshot"]: report(try measureSnapshot(byteCount: byteCount), asJSON: isJSON)
            case ["datapath"]:
                defer { unsafe unlink(path) }
                report(try measureDataPath(byteCount: byteCount, path: path), asJSON: isJSON)
            default: fail(usage)
            }
        } catch {
            fail("cannot measure: \(error)\n")
        }
    }

    private static func fail(_ message: String) -> Never {
        StandardError.write(message)
        exit(1)
    }
}
