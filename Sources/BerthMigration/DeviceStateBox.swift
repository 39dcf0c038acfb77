import BerthStream
import Synchronization

/// Carries the device state from the controller to the data thread, once the guest is stopped.
final class DeviceStateBox: Sendable {
    private let value: Mutex<DeviceState>

    init(_ state: DeviceState) {
        value = Mutex(state)
    }

    /// Set before `MigrationOrders.allowFinish`, read after `waitForFinish`.
    var state: DeviceState {
        get { value.withLock { $0 } }
        set { value.withLock { $0 = newValue } }
    }
}
