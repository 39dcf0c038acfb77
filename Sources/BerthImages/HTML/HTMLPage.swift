/// One HTML page that needs nothing but itself: no other file, no network, no script to be read.
///
/// It follows the reader's choice of light or dark, and prints on paper.
public struct HTMLPage: Sendable {
    /// What the window shows.
    public var title: String
    /// What stands in the page.
    public var body: HTML

    /// Makes a page.
    public init(title: String, body: HTML = "") {
        self.title = title
        self.body = body
    }

    /// The whole document, UTF-8.
    public var document: String {
        let page: HTML = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta name="generator" content="berth">
            <link rel="icon" href="data:,">
            <title>\(title)</title>
            <style>
            \(Self.style)
            </style>
            </head>
            <body>
            <main>
            \(body)
            </main>
            <script>
            \(Self.script)
            </script>
            </body>
            </html>

            """
        return page.source
    }

    /// Under a pointer a map tells the pages; without a script its row labels still do.
    private static let script: HTML = """
        for (const figure of document.querySelectorAll("figure.map")) {
          const image = figure.querySelector("img"), output = figure.querySelector("output");
          const hex = number => "0x" + number.toString(16);
          image.addEventListener("pointermove", event => {
            const { pages, width, height, share } = image.dataset;
            const box = image.getBoundingClientRect();
            const x = Math.floor((event.clientX - box.left) / box.width * width);
            const y = Math.floor((event.clientY - box.top) / box.height * height);
            const first = (y * width + x) * share;
            const count = Math.min(share, pages - first);
            output.textContent = x < 0 || y < 0 || x >= width || count <= 0 ? ""
              : hex(first * 4096) + "\\u2013" + hex((first + count) * 4096 - 1);
          });
          image.addEventListener("pointerleave", () => { output.textContent = ""; });
        }
        """

    private static let style: HTML = """
        :root {
          color-scheme: light dark;
          --text: #1b2733; --muted: #5b6b7a; --back: #ffffff; --panel: #f4f6f8; --line: #dbe1e7;
          --accent: #1f6fb2; --bad: #b3261e; --bad-back: #fdecea;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --text: #dfe6ec; --muted: #93a3b1; --back: #12181e; --panel: #1b232b; --line: #313c46;
            --accent: #6cb2ee; --bad: #ff8a80; --bad-back: #3a1d1b;
          }
        }
        * { box-sizing: border-box; }
        body {
          margin: 0; background: var(--back); color: var(--text);
          font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
        }
        main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.5rem 4rem; }
        h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
        h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
        h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; overflow-wrap: anywhere; }
        h3 small { font-weight: 400; margin-left: .4rem; }
        p { margin: .4rem 0; }
        code, pre, .number, td.number, th.number {
          font-family: ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Menlo, monospace;
          font-size: .9em;
        }
        .muted { color: var(--muted); }
        .problem {
          color: var(--bad); background: var(--bad-back); border-left: 4px solid var(--bad);
          padding: .6rem .9rem; border-radius: 0 4px 4px 0; margin: 1rem 0; overflow-wrap: anywhere;
        }
        .tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; padding: 0; }
        .tiles > div {
          flex: 1 1 8rem; background: var(--panel); border: 1px solid var(--line);
          border-radius: 8px; padding: .6rem .9rem;
        }
        .tiles dt { color: var(--muted); font-size: .8rem; }
        .tiles dd { margin: 0; font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere; }
        .tiles dd small { display: block; font-weight: 400; font-size: .8rem; color: var(--muted); }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; }
        th, td { text-align: left; padding: .28rem .75rem .28rem 0; vertical-align: top; }
        thead th { color: var(--muted); font-weight: 500; font-size: .8rem; }
        tbody tr { border-top: 1px solid var(--line); }
        td.number, th.number { text-align: right; white-space: nowrap; }
        td.value { overflow-wrap: anywhere; }
        table.facts th { width: 13rem; font-weight: 500; color: var(--muted); }
        table.facts td { overflow-wrap: anywhere; }
        pre {
          background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
          padding: .8rem 1rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere;
        }
        details > summary { cursor: pointer; padding: .25rem 0; }
        details > summary::marker { color: var(--accent); }
        details details { margin-left: 1.1rem; }
        details table {
          margin: .2rem 0 .6rem 1.1rem; width: calc(100% - 1.1rem); font-size: .9rem;
          table-layout: fixed;
        }
        details td { overflow-wrap: anywhere; }
        details td:nth-child(1) { width: 30%; }
        details td:nth-child(2) { width: 18%; }
        details.device { border-top: 1px solid var(--line); }
        details.device:last-of-type { border-bottom: 1px solid var(--line); }
        details.device > summary { display: list-item; }
        summary .size { float: right; color: var(--muted); }
        summary .mark { color: var(--bad); }
        .legend { display: flex; flex-wrap: wrap; gap: .3rem 1.25rem; padding: 0; margin: .5rem 0; }
        .legend li { list-style: none; }
        .swatch {
          display: inline-block; width: .85em; height: .85em; margin-right: .4em; border-radius: 2px;
          vertical-align: -.08em; outline: 1px solid var(--line);
        }
        figure.map { margin: .4rem 0 1rem; break-inside: avoid; }
        figure.map .rows { display: flex; gap: .6rem; }
        figure.map .labels { position: relative; flex: 0 0 7.5rem; }
        figure.map .labels span {
          position: absolute; right: 0; transform: translateY(-50%); color: var(--muted);
          font: .72rem/1 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; white-space: nowrap;
        }
        figure.map .picture { flex: 1 1 auto; min-width: 0; }
        figure.map img {
          display: block; image-rendering: pixelated; outline: 1px solid var(--line); height: auto;
        }
        figure.map figcaption {
          margin: .35rem 0 0 8.1rem; font-size: .82rem; color: var(--muted); min-height: 1.5em;
        }
        figure.map output { float: right; color: var(--text); }
        .bar { display: flex; height: .55rem; border-radius: 3px; overflow: hidden; }
        .bar, .swatch, figure.map img { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
        .bar { background: var(--panel); outline: 1px solid var(--line); margin: .3rem 0; }
        @media screen and (max-width: 50rem) {
          table.facts th { width: 8rem; }
          figure.map .labels span:not(:nth-child(4n+1)) { display: none; }
        }
        @page { margin: 15mm; }
        @media print {
          :root { --text: #000; --muted: #444; --back: #fff; --panel: #fff; --line: #bbb; }
          body { font-size: 10pt; }
          main { max-width: none; padding: 0; }
          h2, h3, thead { break-after: avoid; }
          .tiles > div { flex-basis: 6rem; padding: .4rem .6rem; }
          .tiles dd { font-size: 1rem; }
          tr, .tiles > div, summary { break-inside: avoid; }
          details > summary { list-style: none; }
          figure.map figcaption { min-height: 0; }
        }
        """
}
