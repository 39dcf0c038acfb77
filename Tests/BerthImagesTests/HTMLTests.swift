import BerthImages
import BerthMemory
import Testing

/// Pages, and maps of memory in them.
@Suite struct HTMLTests {
    private static let data = PageMap.Fate(name: "data", color: (10, 20, 30, 255))
    private static let zero = PageMap.Fate(name: "zero", color: (200, 100, 0, 100))
    private static let absent = PageMap.Fate(name: "absent", color: (0, 0, 0, 0))

    private func bitmap(_ pageCount: Int, _ ranges: Range<Int>...) -> PageBitmap {
        var bitmap = PageBitmap(pageCount: pageCount)
        for range in ranges {
            bitmap.set(range, to: true)
        }
        return bitmap
    }

    @Test func `text is never markup`() {
        let text = "<script>alert('1')</script>&\"\u{1b}[31m\u{202e}\u{0}ü"
        let html: HTML = "<b title=\"\(text)\">\(text)</b>"
        let escaped =
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}[31m\u{fffd}\u{fffd}ü"
        #expect(html.source == "<b title=\"\(escaped)\">\(escaped)</b>")
    }

    @Test func `pieces, numbers and line ends stay as they are`() {
        let piece: HTML = "<i>\(7)</i>"
        let html: HTML = "\(piece)\n\("a\n\tb")"
        #expect(html.source == "<i>7</i>\na\n\tb")
    }

    @Test func `a page needs nothing but itself`() {
        let document = HTMLPage(title: "<vm>", body: "<h1>\("a & b")</h1>").document
        #expect(document.hasPrefix("<!DOCTYPE html>"))
        #expect(document.contains("<title>&lt;vm&gt;</title>"))
        #expect(document.contains("<h1>a &amp; b</h1>"))
        for word in ["http:", "https:", "@import", "src=\"/", "href=\"/", "url("] {
            #expect(!document.contains(word), "\(word)")
        }
    }

    @Test func `each page of a small block is a pixel`() throws {
        let map = PageMap(
            pageCount: 5,
            layers: [(Self.data, bitmap(5, 0..<1, 3..<4)), (Self.zero, bitmap(5, 1..<2))],
            rest: Self.absent
        )
        #expect(map.pagesPerPixel == 1)
        #expect(map.width == 8)
        let picture = try HTMLPicture(firstIn: map.figure(name: "a").source)
        #expect(picture.width == 8)
        #expect(picture.height == 1)
        let (data, nothing): ([UInt8], [UInt8]) = ([10, 20, 30, 255], [0, 0, 0, 0])
        #expect(
            picture.pixels
                == [data, [200, 100, 0, 100], nothing, data, nothing, nothing, nothing, nothing]
        )
    }

    @Test(arguments: [0, 1, 2, 63, 64, 65, 1000, 4096, 262_144, 262_145, 1 << 22])
    func `a map has room for every page and little more`(pageCount: Int) throws {
        let map = PageMap(
            pageCount: pageCount,
            layers: [(Self.data, bitmap(pageCount, 0..<pageCount))],
            rest: Self.zero
        )
        #expect(map.width * map.height * map.pagesPerPixel >= pageCount)
        #expect((map.width * (map.height - 1)) * map.pagesPerPixel < max(pageCount, 1))
        #expect(map.width * map.height <= 1 << 18)
        #expect(map.width <= 512)
        let picture = try HTMLPicture(firstIn: map.figure(name: "a").source)
        let count = (pageCount + map.pagesPerPixel - 1) / map.pagesPerPixel
        #expect(picture.pixels.prefix(count).allSatisfy { $0 == [10, 20, 30, 255] })
        #expect(picture.pixels.dropFirst(count).allSatisfy { $0 == [0, 0, 0, 0] })
    }

    @Test func `one page of thousands still shows`() throws {
        let pageCount = 1 << 20
        let map = PageMap(
            pageCount: pageCount,
            layers: [
                (Self.data, bitmap(pageCount, 777_777..<777_778)),
                (Self.zero, bitmap(pageCount, 0..<777_777, 777_778..<pageCount)),
            ],
            rest: Self.absent,
            pixelLimit: 1 << 10
        )
        #expect(map.pagesPerPixel == 1024)
        let picture = try HTMLPicture(firstIn: map.figure(name: "a").source)
        let others = picture.pixels.enumerated().filter { $0.element != [200, 100, 0, 100] }
        #expect(others.map(\.offset) == [777_777 / 1024])
        // One part of data among eight of zero, by their opacity.
        #expect(others.first?.element == [154, 80, 7, 117])
    }

    @Test func `a pixel mixes what its pages are`() throws {
        let map = PageMap(
            pageCount: 4,
            layers: [(Self.data, bitmap(4, 0..<1))],
            rest: Self.absent,
            pixelLimit: 2
        )
        let picture = try HTMLPicture(firstIn: map.figure(name: "a").source)
        #expect(picture.pixels == [[10, 20, 30, 127], [0, 0, 0, 0]])
    }

    /// More mixtures than a palette holds.
    @Test func `a map of every mixture is still a picture`() throws {
        let pageCount = 64 * 4096
        var layers = (0..<4).map { index in
            (
                fate: PageMap.Fate(name: "\(index)", color: (UInt8(index * 60), 0, 0, 255)),
                pages: PageBitmap(pageCount: pageCount)
            )
        }
        for pixel in 0..<4096 {
            var page = pixel * 64
            for index in 0..<4 {
                let count = (pixel >> (3 * index) & 7) * 2
                layers[index].pages.set(page..<page + count, to: true)
                page += count
            }
        }
        let map = PageMap(
            pageCount: pageCount,
            layers: layers,
            rest: Self.absent,
            pixelLimit: 4096
        )
        let picture = try HTMLPicture(firstIn: map.figure(name: "a").source)
        #expect(Set(picture.pixels).count > 100)
        #expect(picture.pixels.first == [0, 0, 0, 0])
    }

    @Test func `rows are labelled with their offsets`() {
        let map = PageMap(pageCount: 1 << 18, layers: [], rest: Self.zero)
        let figure = map.figure(name: "pc.ram <x>").source
        #expect(figure.contains(">0x00000000</span>"))
        #expect(figure.contains(">0x02000000</span>"))
        #expect(figure.contains("alt=\"Map of the pages of pc.ram &lt;x&gt;\""))
        #expect(figure.contains("A pixel is 1 page (4 KiB), a row 2 MiB"))
    }
}
