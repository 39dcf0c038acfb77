import BerthJSON
import BerthQAPI
import Testing

@testable import BerthServer

@Suite struct HMPImageTests {
    private let script = HMPScript()

    @Test func `shows what became of images, and why`() async {
        let info = MappedRAMInfo(
            load: MappedRAMLoad(
                image: "file:/images/a",
                blocks: [
                    MappedRAMBlock(block: "ram", size: 4 << 30, present: 3 << 30, means: .mapped),
                    MappedRAMBlock(
                        block: "vga.vram",
                        size: 16 << 20,
                        present: 4096,
                        means: .copied,
                        reason: "too many gaps"
                    ),
                ],
                changed: true,
                prefetch: .active,
                prefetched: 512 << 20
            ),
            save: MappedRAMImage(
                image: "file:/images/b",
                blocks: [MappedRAMBlock(block: "ram", size: 1 << 20, present: 0, means: .shared)]
            )
        )
        script.reply("x-query-mapped-ram", info.toJSON())
        #expect(
            await script.output("info mapped_ram") == """
                loaded from file:/images/a (changed since)
                  ram: mapped, 3.0 GiB of 4.0 GiB
                  vga.vram: copied, 4.0 KiB of 16.0 MiB (too many gaps)
                  prefetch: active, 512.0 MiB
                saved to file:/images/b
                  ram: shared, 0 B of 1.0 MiB

                """
        )
        #expect(script.commands == [.xQueryMappedRAM])
    }

    @Test func `has nothing to show where there was no image`() async {
        script.reply("x-query-mapped-ram", MappedRAMInfo().toJSON())
        #expect(await script.output("info mapped_ram") == "")
    }
}
