/// Finds writes by the marks that writers in this process leave.
struct SoftwareDirtySource: DirtySource {
    let mechanism = DirtyTrackingMechanism.software
    private let log: DirtyLog

    init(_ log: DirtyLog) {
        self.log = log
    }

    func start() {
        // Writers mark all the time; the marks up to now are of no interest.
        var old = PageBitmap(pageCount: log.pageCount)
        _ = log.collect(into: &old)
    }

    func collect(into bitmap: inout PageBitmap) -> Int {
        log.collect(into: &bitmap)
    }

    func stop() {}
}
