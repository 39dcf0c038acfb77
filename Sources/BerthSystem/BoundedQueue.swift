internal import Glibc

/// A queue of fixed size between threads that block: who puts waits while it is full, who takes
/// waits while it is empty.
///
/// Nothing is allocated after `init`, and the kernel is asked only where somebody has to wait.
@safe
public final class BoundedQueue<Element: Sendable>: Sendable {
    /// Most elements that wait in the queue.
    public let capacity: Int

    private struct State {
        var head = 0
        var count = 0
        var isClosed = false
        /// Elements that were taken and are still being worked on.
        var openCount = 0
    }

    // SAFETY: all of it is allocated in init, freed in deinit, and touched only with the lock held.
    private nonisolated(unsafe) let slots: UnsafeMutablePointer<Element?>
    private nonisolated(unsafe) let state: UnsafeMutablePointer<State>
    private nonisolated(unsafe) let lock: UnsafeMutablePointer<pthread_mutex_t>
    private nonisolated(unsafe) let hasElement: UnsafeMutablePointer<pthread_cond_t>
    private nonisolated(unsafe) let hasRoom: UnsafeMutablePointer<pthread_cond_t>
    private nonisolated(unsafe) let isIdle: UnsafeMutablePointer<pthread_cond_t>

    /// Makes an empty queue.
    ///
    /// - Parameter capacity: at least 1.
    public init(capacity: Int) {
        self.capacity = max(1, capacity)
        unsafe slots = .allocate(capacity: self.capacity)
        unsafe slots.initialize(repeating: nil, count: self.capacity)
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: State())
        unsafe lock = .allocate(capacity: 1)
        unsafe hasElement = .allocate(capacity: 1)
        unsafe hasRoom = .allocate(capacity: 1)
        unsafe isIdle = .allocate(capacity: 1)
        unsafe pthread_mutex_init(lock, nil)
        unsafe pthread_cond_init(hasElement, nil)
        unsafe pthread_cond_init(hasRoom, nil)
        unsafe pthread_cond_init(isIdle, nil)
    }

    deinit {
        unsafe pthread_cond_destroy(hasElement)
        unsafe pthread_cond_destroy(hasRoom)
        unsafe pthread_cond_destroy(isIdle)
        unsafe hasElement.deallocate()
        unsafe hasRoom.deallocate()
        unsafe isIdle.deallocate()
        unsafe pthread_mutex_destroy(lock)
        unsafe lock.deallocate()
        unsafe slots.deinitialize(count: capacity)
        unsafe slots.deallocate()
        unsafe state.deallocate()
    }

    /// Adds an element, waiting for room.
    ///
    /// - Returns: false if the queue was closed; the element isn't taken then.
    @available(*, noasync, message: "blocks its thread")
    public func put(_ element: Element) -> Bool {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        while unsafe state.pointee.count == capacity, unsafe !state.pointee.isClosed {
            unsafe pthread_cond_wait(hasRoom, lock)
        }
        guard unsafe !state.pointee.isClosed else { return false }
        let index = unsafe (state.pointee.head + state.pointee.count) % capacity
        unsafe slots[index] = element
        unsafe state.pointee.count += 1
        unsafe pthread_cond_signal(hasElement)
        return true
    }

    /// Takes the oldest element, waiting for one; the taker calls `done()` when it has dealt with it.
    ///
    /// - Returns: nil once the queue is closed and empty.
    @available(*, noasync, message: "blocks its thread")
    public func take() -> Element? {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        while unsafe state.pointee.count == 0 {
            guard unsafe !state.pointee.isClosed else { return nil }
            unsafe pthread_cond_wait(hasElement, lock)
        }
        let head = unsafe state.pointee.head
        let element = unsafe slots[head].take()
        unsafe state.pointee.head = (head + 1) % capacity
        unsafe state.pointee.count -= 1
        unsafe state.pointee.openCount += 1
        unsafe pthread_cond_signal(hasRoom)
        return element
    }

    /// Says that an element that was taken has been dealt with.
    public func done() {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        unsafe state.pointee.openCount -= 1
        if unsafe state.pointee.openCount == 0, unsafe state.pointee.count == 0 {
            unsafe pthread_cond_broadcast(isIdle)
        }
    }

    /// Waits until everything that was put has been dealt with.
    @available(*, noasync, message: "blocks its thread")
    public func waitUntilIdle() {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        while unsafe state.pointee.count > 0 || state.pointee.openCount > 0 {
            unsafe pthread_cond_wait(isIdle, lock)
        }
    }

    /// Lets nothing more in.
    ///
    /// - Parameter discardsRest: whether what waits in the queue is dropped; otherwise it can still
    ///   be taken.
    public func close(discardsRest: Bool = false) {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        unsafe state.pointee.isClosed = true
        if discardsRest {
            for index in 0..<capacity { unsafe slots[index] = nil }
            unsafe state.pointee.count = 0
            if unsafe state.pointee.openCount == 0 { unsafe pthread_cond_broadcast(isIdle) }
        }
        unsafe pthread_cond_broadcast(hasElement)
        unsafe pthread_cond_broadcast(hasRoom)
    }
}
