import BerthJSON
import BerthMonitor
import BerthQAPI
import Testing

@testable import BerthServer

@Suite(.timeLimit(.minutes(1))) struct HMPMigrationTests {
    private let script = HMPScript()

    private func status(_ status: MigrationStatus, error: String? = nil) -> JSONValue {
        MigrationInfo(status: status, errorDesc: error).toJSON()
    }

    @Test func `shows nothing but globals before the first migration`() async {
        script.reply("query-migrate", [:])
        #expect(await script.output("info migrate") == Self.globals)
    }

    @Test func `shows a running migration as QEMU does`() async {
        var ram = MigrationRAMStats.none
        ram.transferred = 110_908 << 10
        ram.mbps = 168.1
        ram.remaining = 16_384 << 10
        ram.total = 65_864 << 10
        ram.duplicate = 8524
        ram.normal = 27_654
        ram.normalBytes = 110_616 << 10
        ram.dirtySyncCount = 4
        ram.pagesPerSecond = 5120
        ram.dirtyPagesRate = 5166
        ram.precopyBytes = 110_907 << 10
        let info = MigrationInfo(
            status: .active,
            ram: ram,
            totalTime: 5501,
            expectedDowntime: 1546,
            setupTime: 6,
            cpuThrottlePercentage: 20
        )
        script.reply("query-migrate", info.toJSON())
        #expect(await script.output("info migrate") == Self.globals + Self.running)
    }

    @Test func `shows every line that has something to show`() async {
        var ram = MigrationRAMStats.none
        ram.postcopyRequests = 1
        ram.downtimeBytes = 2048
        ram.postcopyBytes = 3072
        ram.dirtySyncMissedZeroCopy = 3
        let info = MigrationInfo(
            status: .completed,
            ram: ram,
            xbzrleCache: XBZRLECacheStats(
                cacheSize: 67_108_864,
                bytes: 4096,
                pages: 5,
                cacheMiss: 6,
                cacheMissRate: 0.125,
                encodingRate: 31.678,
                overflow: 7
            ),
            totalTime: 10,
            downtime: 3,
            setupTime: 1,
            blockedReasons: ["no", "never"],
            postcopyBlocktime: 8,
            postcopyVcpuBlocktime: [9, 10],
            socketAddress: [
                .inet(InetSocketAddress(host: "::1", port: "49152")),
                .unix(UnixSocketAddress(path: "/run/x")),
                .vsock(VsockSocketAddress(cid: "3", port: "4")),
            ],
            dirtyLimitThrottleTimePerRound: 11,
            dirtyLimitRingFullTime: 12
        )
        script.reply("query-migrate", info.toJSON())
        #expect(await script.output("info migrate") == Self.globals + Self.everything)
    }

    @Test func `shows why a migration failed`() async {
        script.reply("query-migrate", status(.failed, error: "disk full"))
        #expect(
            await script.output("info migrate")
                == Self.globals + "Migration status: failed (disk full)\ntotal time: 0 ms\n"
        )
    }

    @Test func `goes on detached where nothing can wait`() async {
        #expect(
            await script.output("migrate tcp::4444")
                == "terminal does not allow synchronous migration, continuing detached\n"
        )
        #expect(script.commands == [.migrate(MigrateArguments(uri: "tcp::4444"))])
    }

    @Test func `waits for the end without a word to a program`() async {
        for state in [MigrationStatus.setup, .active, .device, .completed] {
            script.reply("query-migrate", status(state))
        }
        let console = HMPScreen(isTerminal: false)
        #expect(await script.output("migrate file:/x", on: console) == "")
        #expect(script.commands.count == 5)
    }

    @Test(arguments: [
        MigrationStatus.completed, .cancelled, .preSwitchover, .postcopyPaused, .none, .colo,
    ])
    func `returns when the migration ends or needs a command`(end: MigrationStatus) async {
        script.reply("query-migrate", status(.cancelling))
        script.reply("query-migrate", status(end))
        let console = HMPScreen(isTerminal: false)
        #expect(await script.output("migrate file:/x", on: console) == "")
        #expect(script.commands.count == 3)
    }

    @Test func `shows why the migration failed that it waited for`() async {
        script.reply("query-migrate", status(.active))
        script.reply("query-migrate", status(.failed, error: "connection lost"))
        let console = HMPScreen(isTerminal: false)
        #expect(await script.output("migrate file:/x", on: console) == "Error: connection lost\n")
    }

    @Test func `doesn't wait for a migration that was refused`() async {
        script.fail("migrate", QMPError("unknown migration protocol: foo:bar"))
        let console = HMPScreen(isTerminal: true)
        #expect(
            await script.output("migrate foo:bar", on: console)
                == "Error: unknown migration protocol: foo:bar\n"
        )
        #expect(script.commands.count == 1)
    }

    @Test func `draws progress on a terminal, line over line`() async {
        var ram = MigrationRAMStats.none
        ram.total = 4 << 30
        ram.remaining = 1 << 30
        ram.transferred = 3 << 30
        ram.mbps = 812.44
        ram.dirtySyncCount = 2
        let active = MigrationInfo(status: .active, ram: ram, totalTime: 3, expectedDowntime: 310)
        ram.remaining = 0
        let completed = MigrationInfo(status: .completed, ram: ram, totalTime: 2300, downtime: 31)
        script.reply("query-migrate", status(.setup))
        script.reply("query-migrate", active.toJSON())
        script.reply("query-migrate", completed.toJSON())
        let console = HMPScreen(isTerminal: true, columnCount: 100)
        #expect(
            await script.output("migrate file:/x", on: console)
                == "\rsetup\u{1B}[K"
                + "\ractive  75%  3.0 GiB sent  812.4 Mbit/s  1.0 GiB left  pass 2  "
                + "downtime ~310 ms\u{1B}[K"
                + "\rcompleted  100%  3.0 GiB sent  812.4 Mbit/s  2300 ms  downtime 31 ms\u{1B}[K\n"
        )
        let narrow = HMPScreen(isTerminal: true, columnCount: 12)
        #expect(
            await script.output("migrate file:/x", on: narrow) == "\rcompleted  \u{1B}[K\n"
        )
    }

    @Test func `tells a person what the migration waits for`() async {
        script.reply("query-migrate", status(.preSwitchover))
        let output = await script.output("migrate file:/x", on: HMPScreen(isTerminal: true))
        #expect(output.contains("migrate_continue pre-switchover"))
    }

    @Test func `stops waiting when nobody is there any more`() async {
        script.reply("query-migrate", status(.active))
        let console = HMPScreen(isTerminal: false)
        console.close()
        #expect(await script.output("migrate file:/x", on: console) == "")
        #expect(script.commands.count == 2)
    }

    @Test func `shows a query's own failure`() async {
        script.fail("query-migrate", QMPError("no"))
        #expect(await script.output("info migrate") == "Error: no\n")
    }

    @Test(arguments: [
        (0.0, 2, "0.00"), (168.1, 2, "168.10"), (0.125, 2, "0.12"), (0.375, 2, "0.38"),
        (-1.5, 1, "-1.5"), (99.999, 2, "100.00"), (7.0, 0, "7"), (.infinity, 2, "inf"),
        (.nan, 2, "nan"), (1e300, 2, "1e+300"),
    ])
    func `writes numbers with decimals`(value: Double, count: Int, expected: String) {
        #expect(FixedDecimals.text(value, count) == expected)
    }

    @Test(arguments: [
        (Int64(0), "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"),
        (3 << 29, "1.5 GiB"), (1 << 41, "2.0 TiB"), (.max, "8388608.0 TiB"),
    ])
    func `writes sizes for people`(count: Int64, expected: String) {
        #expect(FixedDecimals.byteText(count) == expected)
    }

    private static let globals = """
        globals:
        store-global-state: on
        only-migratable: off
        send-configuration: on
        send-section-footer: on
        send-switchover-start: on
        clear-bitmap-shift: 18

        """

    /// From QEMU 10.0.2, with auto-converge.
    private static let running = """
        Migration status: active
        total time: 5501 ms
        expected downtime: 1546 ms
        setup: 6 ms
        transferred ram: 110908 kbytes
        throughput: 168.10 mbps
        remaining ram: 16384 kbytes
        total ram: 65864 kbytes
        duplicate: 8524 pages
        normal: 27654 pages
        normal bytes: 110616 kbytes
        dirty sync count: 4
        page size: 4 kbytes
        multifd bytes: 0 kbytes
        pages-per-second: 5120
        dirty pages rate: 5166 pages
        precopy ram: 110907 kbytes
        cpu throttle percentage: 20

        """

    private static let everything = """
        Outgoing migration blocked:
          no
          never
        Migration status: completed
        total time: 10 ms
        downtime: 3 ms
        setup: 1 ms
        transferred ram: 0 kbytes
        throughput: 0.00 mbps
        remaining ram: 0 kbytes
        total ram: 0 kbytes
        duplicate: 0 pages
        normal: 0 pages
        normal bytes: 0 kbytes
        dirty sync count: 0
        page size: 4 kbytes
        multifd bytes: 0 kbytes
        pages-per-second: 0
        postcopy request count: 1
        downtime ram: 2 kbytes
        postcopy ram: 3 kbytes
        Zero-copy-send fallbacks happened: 3 times
        cache size: 67108864 bytes
        xbzrle transferred: 4 kbytes
        xbzrle pages: 5 pages
        xbzrle cache miss: 6 pages
        xbzrle cache miss rate: 0.12
        xbzrle encoding rate: 31.68
        xbzrle overflow: 7
        dirty-limit throttle time: 11 us
        dirty-limit ring full time: 12 us
        postcopy blocktime: 8
        postcopy vcpu blocktime: 9,10
        socket address: [
        \ttcp:[::1]:49152
        \tunix:/run/x
        \tvsock:3:4
        ]

        """
}
