import ArgumentParser
import BerthQAPI
import BerthServer

/// `berth demo`: the main job in a few seconds.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Save a busy guest in both layouts, restore it, and compare."
    )

    func run() async {
        do throws(QMPError) {
            let demo = try Demo()
            Interruption.cleaningUp { demo.removeImages() }
            try await demo.run()
        } catch {
            fail(error.desc, hint: error.hint)
        }
    }
}
