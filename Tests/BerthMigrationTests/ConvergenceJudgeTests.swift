import BerthQAPI
import Testing

@testable import BerthMigration

/// When a guest is slowed down, and by how much: migration-control's auto-converge.
@Suite struct ConvergenceJudgeTests {
    private let limits = MigrationLimits()

    private func judge(
        _ judge: inout ConvergenceJudge,
        dirty: UInt64,
        sent: UInt64,
        times: Int = 1
    ) -> [GuestRestraint?] {
        (0..<times).map { _ in
            judge.judge(dirtyByteCount: dirty, transferredByteCount: sent, limits)
        }
    }

    @Test func `every second period with too much change is a step`() {
        var judge = ConvergenceJudge(.throttle)
        #expect(
            self.judge(&judge, dirty: 60, sent: 100, times: 6)
                == [
                    nil, .throttle(percentage: 20), nil, .throttle(percentage: 30), nil,
                    .throttle(percentage: 40),
                ]
        )
    }

    @Test func `half of what is sent may change`() {
        var judge = ConvergenceJudge(.throttle)
        #expect(self.judge(&judge, dirty: 50, sent: 100, times: 4) == [nil, nil, nil, nil])
        #expect(
            self.judge(&judge, dirty: 51, sent: 100, times: 2)
                == [nil, .throttle(percentage: 20)]
        )
    }

    @Test func `a quiet period between two strikes doesn't forgive the first`() {
        var judge = ConvergenceJudge(.throttle)
        _ = self.judge(&judge, dirty: 100, sent: 100)
        _ = self.judge(&judge, dirty: 0, sent: 100)
        #expect(self.judge(&judge, dirty: 100, sent: 100) == [.throttle(percentage: 20)])
    }

    @Test func `steps end at the maximum`() {
        var judge = ConvergenceJudge(.throttle)
        let steps = self.judge(&judge, dirty: 100, sent: 0, times: 40).compactMap { $0 }
        #expect(steps.last == .throttle(percentage: 99))
        #expect(steps.count == 20)
    }

    @Test func `with tailslow a step goes no further than needed`() {
        var parameters = MigrationParameters()
        parameters.cpuThrottleTailslow = true
        let limits = MigrationLimits(parameters)
        var judge = ConvergenceJudge(.throttle)
        func strike(_ dirty: UInt64) -> GuestRestraint? {
            _ = judge.judge(dirtyByteCount: dirty, transferredByteCount: 200, limits)
            return judge.judge(dirtyByteCount: dirty, transferredByteCount: 200, limits)
        }
        #expect(strike(1000) == .throttle(percentage: 20))
        // 80 % are left, 100 of 110 bytes would be all right: 80 - 80 * 100 / 110 = 7.27.
        #expect(strike(110) == .throttle(percentage: 27))
        #expect(strike(1000) == .throttle(percentage: 37))
    }

    @Test func `a dirty limit is what the parameter says`() {
        var judge = ConvergenceJudge(.dirtyLimit)
        #expect(
            self.judge(&judge, dirty: 100, sent: 100, times: 2)
                == [nil, .dirtyLimit(megabytesPerSecond: 1)]
        )
    }

    @Test func `without either capability nothing is done`() {
        var judge = ConvergenceJudge(nil)
        #expect(self.judge(&judge, dirty: 100, sent: 1, times: 4) == [nil, nil, nil, nil])
    }
}
