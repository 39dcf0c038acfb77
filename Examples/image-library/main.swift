// Finds the pages of a saved guest that hold some bytes, and can write the guest again without them:
// an example for programs that use Berth's library BerthImages, as forensics tools might.
//
//     image-library-example IMAGE TEXT             lists the pages that hold TEXT
//     image-library-example IMAGE TEXT --out COPY  also writes COPY, mapped-ram, with those pages zero
//
// IMAGE is anything that `berth inspect` knows: a stream of QEMU, or a save file of libvirt.
//
// Licensed under the Apache License, Version 2.0; see the file LICENSE.

import BerthImages
import BerthStream
import BerthWire
import Glibc

/// Whether some bytes are among others.
func contains(_ page: UnsafeRawBufferPointer, _ text: [UInt8]) -> Bool {
    guard let first = text.first else { return true }
    var rest = page[...]
    while let start = rest.firstIndex(of: first) {
        rest = rest[start...]
        if rest.starts(with: text) { return true }
        rest = rest.dropFirst()
    }
    return false
}

func run(_ arguments: [String]) throws(ImageError) {
    guard arguments.count == 2 || (arguments.count == 4 && arguments[2] == "--out") else {
        throw ImageError("usage: image-library-example IMAGE TEXT [--out COPY]")
    }
    let text = Array(arguments[1].utf8)
    // What kind of file it is, is found by its content.
    let image = try GuestImage(opening: arguments[0])
    let pages = try image.pages()
    print("machine \(pages.received.configuration.machineName)")

    var writer: ImageWriter?
    if arguments.count == 4 {
        writer = try ImageWriter(
            creating: arguments[3],
            // Or the copy could take the place of the guest that it is made from.
            from: [image.path],
            as: .mappedRAM,
            configuration: pages.received.configuration,
            blocks: pages.blocks,
            deviceState: pages.received.deviceState
        )
    }
    for (index, block) in pages.blocks.enumerated() {
        // Runs of pages in order; those without content cost nothing.
        try pages.visitRuns(ofBlock: index) { run throws(ImageError) in
            guard let bytes = run.bytes else { return }
            for start in stride(from: 0, to: run.byteCount, by: 4096) {
                let page = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + 4096])
                if contains(UnsafeRawBufferPointer(page), text) {
                    print("\(block.name) 0x\(String(run.offset + start, radix: 16))")
                } else {
                    try writer?.write(block: index, offset: run.offset + start, page)
                }
            }
        }
    }
    try writer?.commit()
}

do {
    try run(Array(CommandLine.arguments.dropFirst()))
} catch {
    _ = "image-library-example: \(error)\n".withCString { write(STDERR_FILENO, $0, strlen($0)) }
    exit(1)
}
