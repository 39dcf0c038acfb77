import BerthMemory
public import BerthQAPI
import BerthStream

extension MigrationController {
    /// Judges before a migration starts whether the guest's writes can be found, or held back.
    ///
    /// A guest that is stopped has no writers, whoever has its memory mapped.
    /// - Throws: `MigrationError` that says what is in the way; nothing was started.
    func checkMemory() throws(MigrationError) {
        let isSnapshot = capabilities[.backgroundSnapshot]
        if runState.isLive, let obstacle = activity?.obstacle(toSnapshot: isSnapshot) {
            throw obstacle
        }
        for block in memory.blocks {
            if capabilities[.xIgnoreShared], block.isSharedFile { continue }
            let obstacle =
                isSnapshot
                ? block.obstacleToSnapshot
                : runState.isLive ? block.untrackedWriterObstacle : nil
            if let obstacle { throw MigrationError(obstacle, block: block) }
        }
        if !isSnapshot {
            try checkTracking()
        }
    }

    /// Chooses how writes to the guest's memory are found.
    /// - Throws: `MigrationError` if that way doesn't work for a block.
    func checkTracking() throws(MigrationError) {
        for block in memory.blocks {
            do {
                try block.tracking.choose(parameters.xDirtyTracking.mode)
            } catch {
                throw MigrationError(error, block: block)
            }
        }
    }

    /// Where blocks lie in the guest's address space: 0 for those that the endpoint made, as QEMU
    /// has it for memory that a machine is given; what a stream said for others.
    var guestAddresses: [String: UInt64] {
        var addresses: [String: UInt64] = [:]
        for block in memory.blocks { addresses[block.id] = 0 }
        for block in relayed?.blocks ?? [] {
            addresses[block.name] = block.guestAddress ?? addresses[block.name]
        }
        return addresses
    }

    /// QMP `x-query-dirty-tracking`.
    public var dirtyTracking: [DirtyTrackingInfo] {
        memory.blocks.map { block in
            let isChoosable = !block.tracking.isActive
            if isChoosable {
                // Shows what a migration that starts now would use; if it can't, that one says so.
                try? block.tracking.choose(parameters.xDirtyTracking.mode)
            }
            let kernel = block.obstacleToKernelTracking
            let snapshot = block.obstacleToSnapshot
            return DirtyTrackingInfo(
                block: block.id,
                mechanisms: block.tracking.mechanisms.map(\.qapi),
                active: block.tracking.isActive,
                kernel: kernel == nil,
                kernelObstacle: kernel?.message,
                snapshot: snapshot == nil,
                snapshotObstacle: snapshot?.message
            )
        }
    }
}

extension MigrationError {
    /// What is in the way of a block of RAM.
    fileprivate init(_ error: DirtyTrackingError, block: RAMBlock) {
        self.init("RAM block '\(block.id)': \(error.message)", hint: error.hint)
    }
}

extension BerthQAPI.DirtyTrackingMode {
    /// The same in the terms of memory.
    fileprivate var mode: BerthMemory.DirtyTrackingMode {
        switch self {
        case .auto: .auto
        case .software: .software
        case .kernel: .kernel
        }
    }
}

extension BerthMemory.DirtyTrackingMechanism {
    /// The same in the terms of the monitor.
    fileprivate var qapi: BerthQAPI.DirtyTrackingMechanism {
        switch self {
        case .software: .software
        case .kernel: .kernel
        case .peer: .peer
        }
    }
}
