"""Draws the plots of the documents as SVG, without any package: warm times as dots, cold starts as bars."""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from tests.bench.figures import COLD_PEERS, OURS, SETTLED, Results, warm_ms

COLOURS = {
    "floor": "#8a8a8a", "load": "#d6336c", "settled": "#7048e8", "playwright": "#2b8a3e", "puppeteer": "#1971c2",
    "weasyprint": "#e8890c", "chromium": "#0b7285", "wkhtmltopdf": "#846358", "playwright-aws-lambda": "#212529",
}  # fmt: skip
STAGES = {"imported": "#ced4da", "inflated": "#a5b4c4", "started": "#748ffc", "first PDF": "#d6336c"}
"""The stages of a cold start in their order, each with the colour of the time until it ends."""
CURVES = ("#2b8a3e", "#1971c2", "#e8890c", "#d6336c")
WIDTH, LEFT, RIGHT, ROW = 860, 220, 30, 30
_FONT = "font-family='system-ui, sans-serif'"


def warm_plot(results: Results) -> str:
    """Draws a row for each page with a dot for each tool; the dot is hollow if the PDF lacks something."""
    pages = list(results["warm"])
    names = [name for name in results["tools"] if any(warm_ms(results, page, name) for page in pages)]
    times = [took for page in pages for name in names if (took := warm_ms(results, page, name)) is not None]
    if not times:
        return _svg(60, [_text(20, 36, "Not measured yet.")])
    low, high = math.log10(min(times)) - 0.05, math.log10(max(times)) + 0.05
    rows = math.ceil(len(names) / 3)
    top = 50 + 22 * rows

    def place(took: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(took) - low) / (high - low)

    bottom = top + ROW * len(pages)
    found = [_text(20, 26, "Warm: milliseconds from the job to the PDF (logarithmic)", size=16, weight=600)]
    found += _legend(((results["tools"][name]["title"], COLOURS[name]) for name in names), 50)
    for tick in ticks(low, high):
        found.append(_line(place(tick), top - 8, place(tick), bottom, "#e3e6ea"))
        found.append(_text(place(tick), bottom + 18, f"{tick:,}", anchor="middle", fill="#666"))
    for number, page in enumerate(pages):
        y = top + ROW * number + ROW / 2
        found.append(_text(LEFT - 14, y + 4, results["pages"][page]["title"], anchor="end"))
        found.append(_line(LEFT, y, WIDTH - RIGHT, y, "#f1f3f5"))
        for name in names:
            took = warm_ms(results, page, name)
            if took is not None:
                hollow = bool(results["warm"][page][name]["lacks"])
                radius = 7 if name in (OURS, SETTLED) else 5.5
                found.append(_dot(place(took), y, radius, COLOURS[name], hollow=hollow))
    found.append(_text(LEFT, bottom + 42, "A hollow dot: the PDF lacks something that the page shows.", fill="#666"))
    return _svg(bottom + 58, found)


def cold_plot(results: Results) -> str:
    """Draws a bar for each number of CPUs and each tool, divided into the stages of the start."""
    bars = [(cpus, name, run) for cpus, runs in results["cold"].items() for name, run in runs.items() if run["ms"]]
    if not bars:
        return _svg(60, [_text(20, 36, "Not measured yet.")])
    longest = max(statistics.median(run["ms"]) for *_, run in bars)
    scale = (WIDTH - LEFT - RIGHT - 70) / longest
    found = [_text(20, 26, "Cold: milliseconds from a new process to its first PDF", size=16, weight=600)]
    found += _legend(((f"until {'ready' if name == 'started' else name}", it) for name, it in STAGES.items()), 50)
    y = 92.0
    for number, (cpus, name, run) in enumerate(bars):
        if number == 0 or bars[number - 1][0] != cpus:
            found.append(_text(20, y + 14, f"{cpus} CPU{'s' if cpus != '1' else ''}", weight=600))
            y += 26
        title = results["tools"][name]["title"].partition(" with ")[0]
        shown = title if name in COLD_PEERS else f"{title}, urlshot's layer"
        found.append(_text(LEFT - 14, y + 15, "urlshot" if name == SETTLED else shown, anchor="end"))
        at = 0.0
        for stage, colour in STAGES.items():
            took = run["ms"] if stage == "first PDF" else run["marks"].get(stage)
            if took:
                until = statistics.median(took)
                found.append(_bar(LEFT + at * scale, y, max(0.0, until - at) * scale, colour))
                at = max(at, until)
        found.append(_text(LEFT + at * scale + 8, y + 15, f"{at:,.0f}"))
        y += ROW
        if number + 1 < len(bars) and bars[number + 1][0] != cpus:
            y += 10
    return _svg(y + 16, found)


def curve_plot(title: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draws curves of shares from 0 to 1 against seconds, which are on a logarithmic scale from 0.01 s."""
    if not curves:
        return _svg(60, [_text(20, 36, "Not measured yet.")])
    points = [point for curve in curves.values() for point in curve]
    left, right, top, bottom = 70, WIDTH - RIGHT, 90, 380
    start, low = min(x for x, _ in points), -2.0
    high = max(low + 1, math.log10(max(y for _, y in points)) + 0.05)

    def across(x: float) -> float:
        return left + (right - left) * (x - start) / (1 - start)

    def up(y: float) -> float:
        return bottom - (bottom - top) * (math.log10(max(y, 10**low)) - low) / (high - low)

    found = [_text(20, 26, title, size=16, weight=600)]
    found += _legend(zip(curves, CURVES, strict=False), 50)
    for tick in (0.01, 0.1, 1, 10, 100, 1000):
        if math.log10(tick) <= high:
            found.append(_line(left, up(tick), right, up(tick), "#e3e6ea"))
            found.append(_text(left - 10, up(tick) + 4, f"{tick:g}", anchor="end", fill="#666"))
    for tenth in range(math.ceil(start * 10), 11):
        found.append(_text(across(tenth / 10), bottom + 20, f"{tenth * 10} %", anchor="middle", fill="#666"))
    for curve, colour in zip(curves.values(), CURVES, strict=False):
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in curve)
        found.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2.5'/>")
        found += [_dot(across(x), up(y), 2.5, colour) for x, y in curve]
    return _svg(bottom + 40, found)


def ticks(low: float, high: float) -> list[int]:
    """Returns the values 1, 2 and 5 times a power of ten between two logarithms."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    values = [digit * 10**power for power in powers for digit in (1, 2, 5) if power >= 0]
    return [value for value in values if low <= math.log10(value) <= high]


def _legend(entries: Iterable[tuple[str, str]], y: float) -> list[str]:
    found = []
    for number, (title, colour) in enumerate(entries):
        x, line = 26 + 280 * (number % 3), y + 22 * (number // 3)
        found += [_dot(x, line - 4, 5.5, colour), _text(x + 12, line, title.replace("`", ""))]
    return found


def _svg(height: float, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}"'
        f' height="{height:.0f}">\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", fill: str = "#222", size: int = 13, weight: int = 400
) -> str:
    look = f"text-anchor='{anchor}' fill='{fill}' font-size='{size}' font-weight='{weight}'"
    return f"<text x='{x:.1f}' y='{y:.1f}' {look} {_FONT}>{html.escape(text)}</text>"


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}'/>"


def _dot(x: float, y: float, radius: float, colour: str, *, hollow: bool = False) -> str:
    fill = "#fff" if hollow else colour
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius}' fill='{fill}' stroke='{colour}' stroke-width='2'/>"


def _bar(x: float, y: float, width: float, colour: str) -> str:
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='20' fill='{colour}'/>"
