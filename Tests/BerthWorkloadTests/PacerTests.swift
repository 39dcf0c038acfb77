import Testing

@testable import BerthWorkload

/// Rates and rests, with a clock that the tests turn.
@Suite(.timeLimit(.minutes(10)))
struct PacerTests {
    @Test(arguments: [1.0, 3, 64, 1000, 2048])
    func `a rate is kept by who wakes late`(_ mebibytesPerSecond: Double) {
        let pagesPerSecond = mebibytesPerSecond * 256
        var pacer = Pacer()
        pacer.start(at: 0)
        pacer.setRate(bytesPerSecond: mebibytesPerSecond * 1_048_576)
        var now: UInt64 = 0
        var pages = 0
        while now < 10_000_000_000 {
            let batch = pacer.take(at: now, atMost: 256)
            pages += batch
            #expect(Double(pages) <= pagesPerSecond * Double(now) / 1e9 + 0.001)
            // A page takes 300 ns here, and sleeps end up to a millisecond late.
            now += batch > 0 ? UInt64(batch) * 300 : pacer.delay + 700_000
        }
        let expected = pagesPerSecond * Double(now) / 1e9
        #expect(Double(pages) > expected * 0.98 - 2)
    }

    @Test func `without a rate there is no limit`() {
        var pacer = Pacer()
        pacer.start(at: 0)
        #expect(pacer.take(at: 0, atMost: 256) == 256)
        #expect(pacer.take(at: 0, atMost: 256) == 256)
        #expect(pacer.delay == 0)
    }

    @Test func `who was held up for long gets no burst`() {
        var pacer = Pacer()
        pacer.start(at: 0)
        pacer.setRate(bytesPerSecond: 4096 * 1000)
        #expect(pacer.take(at: 60_000_000_000, atMost: 100_000) == 51)
    }

    @Test func `time that is left out earns nothing, but what was earned stays`() {
        var pacer = Pacer()
        pacer.start(at: 0)
        pacer.setRate(bytesPerSecond: 4096 * 1000)
        pacer.skip(from: 10_000_000, to: 50_000_000)
        #expect(pacer.take(at: 50_000_000, atMost: 1000) == 10)
        #expect(pacer.take(at: 51_000_000, atMost: 1000) == 1)
    }

    @Test(arguments: [1e-6, 1, 1e19])
    func `no rate is too small or too large`(_ rate: Double) {
        var pacer = Pacer()
        pacer.start(at: 0)
        pacer.setRate(bytesPerSecond: rate)
        #expect(pacer.take(at: .max, atMost: 10) <= 10)
        #expect(pacer.delay <= 86_400_000_000_000)
    }

    @Test(arguments: [1, 20, 50, 90, 99])
    func `a throttle takes its share of the time`(_ throttle: Int) {
        var duty = DutyCycle()
        duty.start(at: 0)
        var now: UInt64 = 0
        var rested: UInt64 = 0
        for _ in 0..<1000 {
            now += 10_300_000
            #expect(duty.isOver(at: now))
            let begin = now
            let rest = duty.rest(after: begin, throttle: throttle)
            // Sleeps are too long by a millisecond.
            if rest > 0 { now += rest + 1_000_000 }
            rested += now - begin
            duty.next(after: begin, at: now, throttle: throttle)
        }
        let share = Double(rested) / Double(now)
        #expect(abs(share - Double(throttle) / 100) < 0.005)
    }

    @Test func `without a throttle nobody rests`() {
        var duty = DutyCycle()
        duty.start(at: 0)
        #expect(!duty.isOver(at: 9_999_999))
        #expect(duty.rest(after: 10_000_000, throttle: 0) == 0)
    }

    @Test func `throughput is that of the last whole window`() {
        var meter = ThroughputMeter()
        meter.start(at: 0)
        meter.add(100)
        #expect(meter.rate(at: 99_999_999) == nil)
        #expect(meter.rate(at: 200_000_000) == 500 * 4096)
        #expect(meter.rate(at: 300_000_000) == 0)
    }
}
