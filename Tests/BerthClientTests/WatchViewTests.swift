import BerthJSON
import Testing

@testable import BerthClient

@Suite struct WatchViewTests {
    private static func active(remaining: Int64) -> JSONValue {
        [
            "status": "active", "total-time": 2000, "expected-downtime": 420, "setup-time": 1,
            "cpu-throttle-percentage": 20,
            "ram": [
                "total": 1_073_741_824, "transferred": 734_003_200,
                "remaining": .integer(remaining), "mbps": 1073.741824, "dirty-pages-rate": 20480,
                "page-size": 4096, "dirty-sync-count": 3,
            ],
        ]
    }

    private static let workload: JSONValue = [
        "id": "w0", "pattern": "increment", "throughput": 83_886_080, "verdict": "unchecked",
    ]

    private var view: WatchView {
        var view = WatchView(style: .blocks)
        let workloads = [WorkloadProgress(Self.workload)].compactMap { $0 }
        for mebibytes in [1024, 700, 512, 300, 800, 512] as [Int64] {
            view.add(
                MigrationProgress(Self.active(remaining: mebibytes << 20)),
                workloads: workloads
            )
        }
        return view
    }

    @Test func `fits 100 columns`() {
        #expect(
            view.lines(width: 99) == [
                "active [#########################.........................] 50%",
                "700.0 MiB sent  128.0 MiB/s  512.0 MiB left  80.0 MiB/s dirtied  pass 3  "
                    + "downtime ~420 ms",
                "throttle 20%  ETA 11 s",
                "left █▆▅▄▇▅",
                "w0 increment 80.0 MiB/s unchecked",
            ]
        )
    }

    @Test func `fits 40 columns`() {
        #expect(
            view.lines(width: 39) == [
                "active [#############.............] 50%",
                "700.0 MiB sent  128.0 MiB/s",
                "512.0 MiB left  80.0 MiB/s dirtied",
                "pass 3  downtime ~420 ms  throttle 20%",
                "ETA 11 s",
                "left █▆▅▄▇▅",
                "w0 increment 80.0 MiB/s unchecked",
            ]
        )
    }

    @Test(arguments: 1...120)
    func `no line is wider than the window`(width: Int) {
        var failed = view
        failed.add(
            MigrationProgress([
                "status": "failed",
                "error-desc": .string(String(repeating: "long ", count: 60) + "\u{1B}[2J"),
            ]),
            workloads: []
        )
        for lines in [view.lines(width: width), failed.lines(width: width)] {
            #expect(lines.allSatisfy { $0.count <= width })
            #expect(!lines.joined().contains("\u{1B}"))
        }
    }

    @Test func `is a line in a log`() {
        #expect(
            view.plainLine
                == "active  50%  700.0 MiB sent  128.0 MiB/s  512.0 MiB left  80.0 MiB/s dirtied  "
                + "pass 3  downtime ~420 ms  throttle 20%  ETA 11 s  "
                + "w0 increment 80.0 MiB/s unchecked"
        )
    }

    @Test func `says that a guest is faster than its migration`() throws {
        var answer = try #require(Self.active(remaining: 1 << 29).objectValue)
        var ram = try #require(answer["ram"]?.objectValue)
        ram["dirty-pages-rate"] = 1_000_000
        answer["ram"] = .object(ram)
        var view = WatchView(style: .ascii)
        view.add(MigrationProgress(.object(answer)), workloads: [])
        #expect(view.plainLine.contains("ETA never at this rate"))
    }

    @Test func `waits for the first migration and shows how one ended`() {
        var view = WatchView(style: .ascii)
        view.add(MigrationProgress([:]), workloads: [])
        #expect(view.lines(width: 79) == ["no migration yet, waiting for one"])
        view.add(
            MigrationProgress([
                "status": "completed", "downtime": 12, "total-time": 3456,
                "ram": ["total": 4096, "remaining": 0, "transferred": 4096, "mbps": 0],
            ]),
            workloads: []
        )
        #expect(
            view.plainLine
                == "completed  100%  4.0 KiB sent  0 B/s  0 B left  downtime 12 ms  took 3456 ms"
        )
        view.add(MigrationProgress(["status": "failed", "error-desc": "no"]), workloads: [])
        #expect(view.plainLine == "failed  error: no")
    }

    @Test(arguments: [
        #"{"status": 5, "ram": []}"#, #"{"ram": {"total": -1, "remaining": -9, "mbps": -1e300}}"#,
        #"{"status": "active", "ram": {"total": 1, "remaining": 9223372036854775807}}"#,
        #"{"status": "active", "ram": {"total": 1e308, "remaining": 1e308, "mbps": 1e308}}"#,
        #"{"status": "active", "ram": {"total": 9, "remaining": 1e308, "mbps": 1e-300}}"#,
        "[]",
    ])
    func `numbers that make no sense are shown without harm`(answer: String) throws {
        var view = WatchView(style: .blocks)
        let progress = MigrationProgress(try parseQMPText(answer))
        for _ in 0..<3 { view.add(progress, workloads: []) }
        #expect(view.lines(width: 79).allSatisfy { $0.count < 80 })
        #expect(!view.plainLine.isEmpty)
    }

    @Test func `reads what the human monitor says`() {
        let text = """
            globals:
            store-global-state: on
            Migration status: active
            total time: 2000 ms
            expected downtime: 420 ms
            transferred ram: 716800 kbytes
            throughput: 1073.74 mbps
            remaining ram: 524288 kbytes
            total ram: 1048576 kbytes
            page size: 4 kbytes
            dirty sync count: 3
            dirty pages rate: 20480 pages
            cpu throttle percentage: 20
            """
        var progress = MigrationProgress(Self.active(remaining: 512 << 20))
        progress.rate = 1073.74 * 125_000
        #expect(MigrationProgress(information: text) == progress)
        let failed = MigrationProgress(information: "Migration status: failed (it broke: now)\n")
        #expect(failed.status == "failed")
        #expect(failed.failure == "it broke: now")
        #expect(MigrationProgress(information: "").status == "none")
    }

    @Test func `a curve keeps its peaks however long it becomes`() {
        var curve = Sparkline()
        for index in 0..<100_000 { curve.add(index == 50_000 ? 100 : 1) }
        #expect(curve.values.count < 512)
        let text = curve.text(width: 20, top: 0, style: .ascii)
        #expect(text.count == 20)
        #expect(text.filter { $0 == "@" }.count == 1)
        #expect(curve.text(width: 0, top: 0, style: .ascii) == "")
    }
}
