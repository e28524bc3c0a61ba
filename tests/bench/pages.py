"""The pages of the benchmark, one of each kind, and what the PDF of each must show.

The pages are generated, so that a run needs no network and every run prints the same pages. `site.py` serves them.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

WORDS = (  # noqa: SIM905 - prose is easier to read than a list
    "The harbour opens at six and the first boats leave with the tide. Clerks weigh the crates, note the marks, and "
    "send each lot to the hall where it is sold before noon. By evening the ledgers agree and the quay is swept."
).split()


@dataclass(frozen=True)
class Page:
    """A page, and what its PDF must show.

    Attributes:
        name: The path below the server's root.
        title: What the tables call it.
        html: The document.
        texts: Texts that the PDF must contain, compared without white space.
        absent: Texts that it must not contain.
        sheets: The smallest number of sheets.
        images: The smallest number of pictures.
        fonts: Fonts of which glyphs must be embedded, each as a regular expression for its name in the PDF.
        glyphs: Characters of which most must look different on the first sheet: those that a font lacks are all boxes.
        script: Whether content is made by scripts, so that a tool without them cannot print it.
        late: Whether content comes after the load event, so that a tool that prints at the load event misses it.
    """

    name: str
    title: str
    html: str
    texts: tuple[str, ...]
    absent: tuple[str, ...] = ()
    sheets: int = 1
    images: int = 0
    fonts: tuple[str, ...] = ()
    glyphs: str = ""
    script: bool = False
    late: bool = False


def prose(start: int, count: int) -> str:
    """Returns `count` words; different starts give different texts."""
    return " ".join(WORDS[(start * 7 + number) % len(WORDS)] for number in range(count))


def document(title: str, body: str, style: str = "", head: str = "") -> str:
    """Returns an HTML document."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>{head}'
        f"<style>body {{ font: 15px/1.5 sans-serif; margin: 2em }} {style}</style><body>{body}</body></html>"
    )


def paragraphs(count: int, words: int = 80) -> str:
    """Returns paragraphs of prose."""
    return "".join(f"<p>{prose(number, words)}</p>" for number in range(count))


def table(rows: int, head: str = "") -> str:
    """Returns a table with five columns."""
    cells = (
        f"<tr><td>{n}<td>Lot {n:04d}<td>{WORDS[n % len(WORDS)]}<td>{n * 37 % 1009}<td>{n * 13 % 97}.{n % 10}0</tr>"
        for n in range(1, rows + 1)
    )
    heads = "<tr><th>No<th>Lot<th>Kind<th>Weight<th>Price</tr>"
    return f"<table><thead>{head}{heads}</thead><tbody>{''.join(cells)}</tbody></table>"


TABLE_STYLE = "table { border-collapse: collapse; width: 100% } td, th { border: 1px solid #999; padding: 4px 8px }"

_CHARTS = """
for (let n = 1; n <= 12; n++) {
  const points = Array.from({length: 60}, (_, i) => 70 + 40 * Math.sin(i / (2 + n)) - i / 3);
  const line = points.map((y, i) => `${i ? "L" : "M"}${i * 6 + 20} ${y + 20}`).join("");
  const bars = points.map((y, i) => `<rect x="${i * 6 + 18}" y="${150 - y}" width="4" height="${y}" fill="#7aa6c2"/>`);
  document.querySelector("#charts").insertAdjacentHTML("beforeend", `<figure>
    <svg width="400" height="180">${bars.join("")}<path d="${line}" fill="none" stroke="#b33"/>
    <text x="20" y="175">Chart ${n} of 12</text></svg></figure>`);
  const canvas = document.querySelector("#charts").appendChild(document.createElement("canvas"));
  canvas.width = 400; canvas.height = 180;
  const pen = canvas.getContext("2d");
  pen.beginPath(); points.forEach((y, i) => pen.lineTo(i * 6, y)); pen.stroke();
}
"""

_LAZY = """
const seen = new IntersectionObserver(entries => entries.filter(one => one.isIntersecting).forEach(one => {
  one.target.textContent = "Part " + one.target.dataset.part + " has come.";
  seen.unobserve(one.target);
}));
document.querySelectorAll("[data-part]").forEach(part => seen.observe(part));
"""

_APP = """
addEventListener("load", () => setTimeout(async () => {
  const items = await (await fetch("app.json")).json();
  history.pushState(null, "", "#/orders");
  document.querySelector("#root").innerHTML = `<h1>Orders</h1><table>${
    items.map(item => `<tr><td>${item.id}<td>${item.name}`).join("")}</table><p>All orders are shown.</p>`;
}, 50));
"""

CHINESE = "港口在清晨六点开放，第一批船随潮水出发。职员称量货箱，记下标记，中午之前把每一批货物卖出。"
JAPANESE = "港は朝六時に開き、最初の船が潮とともに出て行く。係は箱を量り、印を書き留め、昼までにすべてを売る。"
KOREAN = "항구는 아침 여섯 시에 열리고 첫 배는 밀물과 함께 떠난다. 직원은 상자를 달고 표시를 적는다."

_FONTS = "".join(
    f"@font-face {{ font-family: '{family}'; src: url(font/{file}); font-weight: {weight}; font-style: {style} }}"
    for family, file, weight, style in (
        ("Brand Text", "OpenSans-Regular.ttf", 400, "normal"),
        ("Brand Text", "OpenSans-Bold.ttf", 700, "normal"),
        ("Brand Text", "OpenSans-Italic.ttf", 400, "italic"),
        ("Brand Head", "DejaVuSerif.ttf", 400, "normal"),
        ("Brand Head", "DejaVuSerif-Bold.ttf", 700, "normal"),
    )
)

_PRINT_STYLE = """
.paper { display: none }
@media print {
  @page { size: A4; margin: 25mm 20mm }
  .paper { display: block } .screen { display: none } h2 { break-before: page } tr { break-inside: avoid }
}
"""


def _pictures(names: Iterable[str], attributes: str = "") -> str:
    return "".join(
        f'<figure><img src="picture/{name}.png" width="240" height="160" alt="" {attributes}>'
        f"<figcaption>Picture {name}</figcaption></figure>"
        for name in names
    )


def _chapters(count: int) -> str:
    return "".join(
        f"<h1>Chapter {number}</h1>{''.join(f'<p>{prose(number + part, 90)}</p>' for part in range(4))}"
        for number in range(1, count + 1)
    )


def _article() -> str:
    sheets = "".join(f'<link rel="stylesheet" href="style/{number}.css">' for number in range(3))
    parts = "".join(
        f"<h2>Section {number}</h2><p>{prose(number, 120)}</p>{_pictures([f'a{number}'])}<pre>{prose(number, 30)}</pre>"
        for number in range(1, 9)
    )
    body = f"<nav>{prose(1, 20)}</nav><main><h1>An article</h1>{parts}<p>The article ends here.</p></main>"
    return document("Article", body, "main { max-width: 46em } pre { white-space: pre-wrap }", sheets)


PAGES = (
    Page("small", "small page", document("Small", f"<h1>A small page</h1><p>{prose(0, 40)}</p>"), ("A small page",)),
    Page(
        "table", "table of 400 rows", document("Table", "<h1>Lots</h1>" + table(400), TABLE_STYLE),
        ("Lot 0001", "Lot 0400"), sheets=8,
    ),
    Page(
        "charts", "charts drawn by script",
        document("Charts", f"<h1>Charts</h1><div id=charts></div><script>{_CHARTS}</script>"),
        ("Chart 1 of 12", "Chart 12 of 12"), images=12, script=True,
    ),
    Page(
        "images", "60 images", document("Images", _pictures(f"i{n}" for n in range(1, 61))),
        ("Picture i1", "Picture i60"), images=60,
    ),
    Page(
        "fonts", "web fonts",
        document(
            "Fonts", f"<h1>Web fonts</h1>{paragraphs(6)}<p><b>Bold text</b> and <i>italic text</i>.</p>",
            f"{_FONTS} body {{ font-family: 'Brand Text', monospace }} h1 {{ font-family: 'Brand Head', monospace }}",
        ),
        ("Web fonts", "Bold text", "italic text"), fonts=("OpenSans|BrandText", "DejaVuSerif|BrandHead"),
    ),
    Page(
        "cjk", "Chinese, Japanese, Korean",
        document(
            "CJK",
            "".join(
                f'<p lang="zh">{CHINESE}</p><p lang="ja">{JAPANESE}</p><p lang="ko">{KOREAN}</p>' for _ in range(20)
            ),
        ),
        (CHINESE[:12], JAPANESE[:12], KOREAN[:9]), glyphs=CHINESE + JAPANESE + KOREAN,
    ),
    Page(
        "article", "article with pictures", _article(),
        ("An article", "Section 8", "The article ends here."), images=8,
    ),
    Page(
        "document", "document of 120 chapters",
        document("Document", _chapters(120), "h1 { break-before: page } p { text-align: justify }"),
        ("Chapter 1", "Chapter 120"), sheets=120,
    ),
    Page(
        "print", "print style sheet, headers",
        document(
            "Print",
            '<p class="screen">Only on the screen.</p><p class="paper">Only on paper.</p>'
            + "".join(f"<h2>Part {part}</h2>" + table(60, "<tr><th colspan=5>Running head</tr>") for part in (1, 2, 3)),
            TABLE_STYLE + _PRINT_STYLE,
        ),
        ("Only on paper.", "Running head", "Part 3"), absent=("Only on the screen.",), sheets=4,
    ),
    Page(
        "lazy", "lazy content",
        document(
            "Lazy",
            "".join(f'<p data-part="{n}">…</p><p>{prose(n, 150)}</p>{_pictures([f"l{n}"], "loading=lazy")}'
                    for n in range(1, 25)) + f"<script>{_LAZY}</script>",
        ),
        ("Part 1 has come.", "Part 24 has come."), images=24, script=True, late=True,
    ),
    Page(
        "app", "single-page application",
        document("App", f'<div id="root">Loading…</div><script>{_APP}</script>'),
        ("Order 80", "All orders are shown."), absent=("Loading",), script=True, late=True,
    ),
)  # fmt: skip

_CANVASES = """
for (let number = 0; number < 12; number++) {
  const canvas = document.body.appendChild(document.createElement("canvas"));
  [canvas.width, canvas.height, canvas.style.width] = [3000, 2000, "600px"];
  const context = canvas.getContext("2d");
  for (let dot = 0; dot < 2000; dot++) {
    context.fillStyle = `hsl(${dot % 360} 80% 50%)`;
    context.fillRect((dot * 977) % 3000, (dot * 613) % 2000, 60, 60);
  }
}
"""

LARGE = (
    Page("rows5000", "table of 5,000 rows", document("Table", table(5_000), TABLE_STYLE), ("Lot 5000",)),
    Page("rows10000", "table of 10,000 rows", document("Table", table(10_000), TABLE_STYLE), ("Lot 10000",)),
    Page(
        "photos", "ten photographs of 3,000 x 2,000 pixels",
        document("Photographs", "".join(f'<img src="photo/{n}.png" width=600 alt="">' for n in range(10)) + "The end"),
        ("The end",), images=10,
    ),
    Page(
        "canvases", "twelve canvases of 3,000 x 2,000 pixels",
        document("Canvases", f"The beginning<script>{_CANVASES}</script>"), ("The beginning",), images=12, script=True,
    ),
)  # fmt: skip
"""Pages that need much memory; only their memory is measured."""

BY_NAME = {page.name: page for page in PAGES}
COLD = "table"
"""The page of the cold starts."""
MIXED = ("small", "table", "charts", "cjk")
"""The pages that are printed in turn to measure the throughput."""


def picture(name: str) -> bytes:
    """Returns a PNG of 160 x 100 pixels with noise in it, about 24 kB; every name has another one."""
    noise = random.Random(name).randbytes(160 * 3 * 100).translate(bytes(level & 0xF0 for level in range(256)))
    return _png(160, [noise[start : start + 160 * 3] for start in range(0, len(noise), 160 * 3)])


def photo(number: int) -> bytes:
    """Returns a PNG of 3,000 x 2,000 pixels; two rows of noise alternate, so it has few bytes."""
    noise = random.Random(number).randbytes(3000 * 3)
    return _png(3000, [noise, noise[::-1]] * 1000)


def _png(width: int, rows: list[bytes]) -> bytes:
    """Returns a PNG of rows with three bytes for each pixel (PNG specification, third edition)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def style(number: int) -> str:
    """Returns one of the article's style sheets."""
    return "".join(f".s{number}-{rule} {{ color: #{rule:06x}; margin: {rule % 9}px }}\n" for rule in range(400))
