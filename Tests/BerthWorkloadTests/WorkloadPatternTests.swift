import BerthWorkload
import Testing

@Suite
struct WorkloadPatternTests {
    @Test
    func `the names are those of the schema`() {
        #expect(
            WorkloadPattern.allCases.map(\.rawValue) == [
                "increment", "random", "sequential", "zipf",
            ]
        )
    }
}
