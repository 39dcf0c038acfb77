import BerthMemory
public import BerthQAPI
import BerthSystem
import Glibc

extension MigrationController {
    /// The last measurement of the dirty rate, or the one that goes on.
    struct DirtyRateState {
        let request: DirtyRateRequest
        /// Seconds since the host was started.
        let startTime: Int64
        let stop: WakeEvent
        var isMeasuring = true
        /// MiB per second.
        var rate: Int64?
    }

    /// QMP `calc-dirty-rate`: begins to measure.
    /// - Throws: `MigrationError` while a measurement goes on, or if writes can't be found.
    public func measureDirtyRate(_ request: DirtyRateRequest) throws(MigrationError) {
        guard dirtyRate?.isMeasuring != true else {
            throw MigrationError(
                "the dirty rate is being measured already",
                hint: "wait for it: query-dirty-rate tells when it is done"
            )
        }
        if request.mode == .dirtyBitmap {
            try checkTracking()
        }
        let stop: WakeEvent
        let (reports, door) = AsyncStream<Int64?>.makeStream()
        do {
            stop = try WakeEvent()
            let measurement = DirtyRateMeasurement(
                request: request,
                blocks: memory.blocks,
                stop: stop
            )
            try NamedThread.start(name: "berth-dirtyrate") {
                door.yield(measurement.run())
                door.finish()
            }
        } catch {
            throw MigrationError("cannot measure the dirty rate: \(error)")
        }
        dirtyRate = DirtyRateState(
            request: request,
            startTime: Self.secondsSinceStart,
            stop: stop
        )
        Task {
            for await rate in reports {
                dirtyRate?.isMeasuring = false
                dirtyRate?.rate = rate
            }
        }
    }

    /// QMP `query-dirty-rate`.
    ///
    /// - Parameter unit: in which the time is told.
    public func dirtyRateInfo(in unit: TimeUnit) -> DirtyRateInfo {
        guard let dirtyRate else {
            return DirtyRateInfo(
                status: .unstarted,
                startTime: 0,
                calcTime: 0,
                calcTimeUnit: unit,
                samplePages: 0,
                mode: .pageSampling
            )
        }
        let time = dirtyRate.request.milliseconds
        return DirtyRateInfo(
            dirtyRate: dirtyRate.isMeasuring ? nil : dirtyRate.rate,
            status: dirtyRate.isMeasuring ? .measuring : .measured,
            startTime: dirtyRate.startTime,
            calcTime: unit == .second ? time / 1000 : time,
            calcTimeUnit: unit,
            samplePages: UInt64(dirtyRate.request.samplePages),
            mode: dirtyRate.request.mode
        )
    }

    /// The clock of `start-time`: seconds since the host was started, as QEMU's.
    private static var secondsSinceStart: Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec)
    }
}
