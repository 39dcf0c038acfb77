public import BerthMemory

/// A picture of a block's pages by fate: each pixel is a page, or a fixed number of pages.
///
/// A pixel of several pages has their colours mixed; a fate that has but one page among thousands
/// still shows.
public struct PageMap: Sendable {
    /// What became of a page, and how it is shown.
    public struct Fate: Sendable {
        /// Its name in the legend.
        public var name: String
        /// Red, green, blue and opacity, 0 to 255.
        public var color: (red: UInt8, green: UInt8, blue: UInt8, alpha: UInt8)

        /// Describes a fate.
        public init(
            name: String,
            color: (red: UInt8, green: UInt8, blue: UInt8, alpha: UInt8)
        ) {
            self.name = name
            self.color = color
        }

        /// The color as a style sheet has it.
        var css: String {
            let alpha = Int(color.alpha) * 100 / 255
            return "rgb(\(color.red) \(color.green) \(color.blue) / \(alpha)%)"
        }
    }

    /// Steps in which the share of a fate in a pixel is shown.
    private static let steps = 8

    /// Pages of the block.
    public let pageCount: Int
    /// Pages of a pixel, a power of two.
    public let pagesPerPixel: Int
    /// Pixels of a row, a power of two.
    public let width: Int
    /// Rows.
    public let height: Int
    private let layers: [(fate: Fate, pages: PageBitmap)]
    private let rest: Fate

    /// Makes a map.
    ///
    /// - Parameters:
    ///   - pageCount: pages of the block.
    ///   - layers: fates with the pages that have them, all of `pageCount` pages and no page in two.
    ///   - rest: the fate of pages in none of these.
    ///   - pixelLimit: the most pixels; a map of 2^18 is at most 512 wide and high.
    public init(
        pageCount: Int,
        layers: [(fate: Fate, pages: PageBitmap)],
        rest: Fate,
        pixelLimit: Int = 1 << 18
    ) {
        self.pageCount = pageCount
        self.layers = layers
        self.rest = rest
        var share = 1
        while (pageCount + share - 1) / share > max(pixelLimit, 1) {
            share *= 2
        }
        pagesPerPixel = share
        let pixelCount = max(1, (pageCount + share - 1) / share)
        // Twice as wide as high, but narrow enough to see a page.
        var width = 1
        while width < 512, width < pixelCount, width < 64 || width * width < 2 * pixelCount {
            width *= 2
        }
        self.width = width
        height = (pixelCount + width - 1) / width
    }

    /// The picture, for a page; its rows are labelled with offsets in the block.
    ///
    /// - Parameter name: the block's name, for those who can't see the picture.
    public func figure(name: String) -> HTML {
        // Small blocks keep pages of the size that the rows of 64 have.
        let percent = width < 64 ? "\(width * 100)%" : "6400%"
        var labels: HTML = ""
        let step = labelStep
        for row in stride(from: 0, to: height, by: step) {
            let top = (2 * row + 1) * 50_000 / height
            let place = "\(top / 1000).\(String(1000 + top % 1000).dropFirst())%"
            let offset = row * width * pagesPerPixel * targetPageByteCount
            let text = String(offset, radix: 16)
            let zeros = String(repeating: "0", count: max(0, 8 - text.count))
            labels += "<span style=\"top:\(place)\">0x\(zeros)\(text)</span>"
        }
        let unit = pagesPerPixel == 1 ? "1 page" : "\(pagesPerPixel) pages"
        let rowText = byteText(UInt64(width * pagesPerPixel * targetPageByteCount))
        let caption =
            height == 1 && pagesPerPixel == 1
            ? "A pixel is 1 page (4 KiB)"
            : "A pixel is \(unit) (\(byteText(UInt64(pagesPerPixel * targetPageByteCount)))), a row "
                + rowText
        return """
            <figure class="map"><div class="rows">
            <div class="labels" aria-hidden="true">\(labels)</div>
            <div class="picture"><img alt="Map of the pages of \(name)" \
            style="width:calc(\(percent) / 64);aspect-ratio:\(width) / \(height)" \
            width="\(width)" height="\(height)" \
            data-pages="\(pageCount)" data-width="\(width)" data-height="\(height)" \
            data-share="\(pagesPerPixel)" \
            src="data:image/png;base64,\(base64(png))"></div></div>
            <figcaption><output></output>\(caption)</figcaption></figure>

            """
    }

    /// The fates and their colours.
    public static func legend(_ fates: [Fate]) -> HTML {
        var items: HTML = ""
        for fate in fates {
            items += """
                <li><span class="swatch" style="background:\(fate.css)"></span>\(fate.name)</li>
                """
        }
        return "<ul class=\"legend\">\(items)</ul>\n"
    }

    /// A bar with the share of each fate.
    public static func bar(_ shares: [(fate: Fate, pageCount: Int)]) -> HTML {
        var parts: HTML = ""
        for (fate, pageCount) in shares where pageCount > 0 {
            parts += """
                <span style="flex:\(pageCount) 0 3px;background:\(fate.css)"></span>
                """
        }
        return "<div class=\"bar\">\(parts)</div>\n"
    }

    /// Rows from one label to the next, so that labels don't touch: a picture is some 900 wide.
    private var labelStep: Int {
        var step = 1
        while step * 900 < 20 * max(width, 64) {
            step *= 2
        }
        return step
    }

    /// The picture as a PNG file.
    var png: [UInt8] {
        // Nothing, for the end of the last row; then colours as they turn up.
        var palette = [PNGImage.Color(red: 0, green: 0, blue: 0, alpha: 0)]
        var indices: [Int: UInt8] = [:]
        var pixels = [UInt8](repeating: 0, count: width * height)
        var levels = [Int](repeating: 0, count: layers.count + 1)
        for pixel in 0..<(pageCount + pagesPerPixel - 1) / pagesPerPixel {
            let start = pixel * pagesPerPixel
            let pages = start..<min(start + pagesPerPixel, pageCount)
            var left = pages.count
            for (index, layer) in layers.enumerated() {
                let count = layer.pages.count(in: pages)
                left -= count
                levels[index] = level(count, of: pages.count)
            }
            levels[layers.count] = level(left, of: pages.count)
            let key = levels.reduce(0) { $0 * (Self.steps + 1) + $1 }
            if let index = indices[key] {
                pixels[pixel] = index
            } else if palette.count < 256 {
                pixels[pixel] = UInt8(palette.count)
                indices[key] = UInt8(palette.count)
                palette.append(mix(levels))
            } else {
                // So many mixtures that some must share a colour: those that come last.
                pixels[pixel] = 255
            }
        }
        return PNGImage(width: width, height: height, palette: palette, pixels: pixels).encoded
    }

    private func level(_ count: Int, of total: Int) -> Int {
        guard count > 0, total > 0 else { return 0 }
        return max(1, (count * Self.steps + total / 2) / total)
    }

    /// The mean of the fates' colours, by their levels.
    private func mix(_ levels: [Int]) -> PNGImage.Color {
        var (red, green, blue, alpha, total) = (0, 0, 0, 0, 0)
        for (level, fate) in zip(levels, layers.map(\.fate) + [rest]) {
            let weight = level * Int(fate.color.alpha)
            red += weight * Int(fate.color.red)
            green += weight * Int(fate.color.green)
            blue += weight * Int(fate.color.blue)
            alpha += weight
            total += level
        }
        guard alpha > 0, total > 0 else {
            return PNGImage.Color(red: 0, green: 0, blue: 0, alpha: 0)
        }
        return PNGImage.Color(
            red: UInt8(red / alpha),
            green: UInt8(green / alpha),
            blue: UInt8(blue / alpha),
            alpha: UInt8(alpha / total)
        )
    }
}

extension PageBitmap {
    /// How many of these pages are set.
    fileprivate func count(in pages: Range<Int>) -> Int {
        var count = 0
        var page = pages.lowerBound
        while page < min(pages.upperBound, pageCount) {
            let end = min(pages.upperBound, (page / 64 + 1) * 64)
            var word = words[page / 64] >> UInt64(page % 64)
            if end - page < 64 {
                word &= (1 << UInt64(end - page)) - 1
            }
            count += word.nonzeroBitCount
            page = end
        }
        return count
    }
}
