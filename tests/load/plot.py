"""Draws points and lines over the time of a run as an SVG file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 900, 300, 70, 190, 30, 60
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f", "#bcbd22", "#e377c2")
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """Points of (seconds, value), drawn as dots or as a line."""

    name: str
    points: Sequence[Point]
    line: bool = False


@dataclass(frozen=True)
class Panel:
    """One diagram; with `log` its values, which are above 0, have a logarithmic scale."""

    title: str
    series: Sequence[Series]
    log: bool = False


def svg(panels: Sequence[Panel]) -> str:
    """Returns the panels below each other, with one axis of time in seconds for all."""
    end = max((at for panel in panels for one in panel.series for at, _ in one.points), default=1.0) or 1.0
    height = len(panels) * (HEIGHT + GAP) + TOP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, TOP + number * (HEIGHT + GAP), end)
    return "\n".join([*parts, "</svg>", ""])


def ticks(low: float, high: float, log: bool) -> list[float]:
    """Returns about five round values between two values; powers of ten on a logarithmic scale."""
    if log:
        return [10.0**n for n in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    raw = (high - low) / 5 or 1.0
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * base for factor in (1, 2, 5, 10) if factor * base >= raw)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _panel(panel: Panel, top: float, end: float) -> list[str]:
    values = [value for one in panel.series for _, value in one.points] or [1.0]
    low, high = (min(values), max(values)) if panel.log else (0.0, max(values))
    high = high if high > low else low + 1
    width = WIDTH - LEFT - RIGHT

    def x(at: float) -> float:
        return LEFT + width * at / end

    def y(value: float) -> float:
        part = math.log(value / low) / math.log(high / low) if panel.log else (value - low) / (high - low)
        return top + HEIGHT * (1 - part)

    parts = [f'<text x="{LEFT}" y="{top - 10}" font-size="14">{escape(panel.title)}</text>']
    for value in ticks(low, high, panel.log):
        parts.append(f'<path d="M{LEFT} {y(value):.1f}h{width}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts += [
        f'<text x="{x(at):.1f}" y="{top + HEIGHT + 18}" text-anchor="middle">{at:g} s</text>'
        for at in ticks(0, end, False)
    ]
    for number, one in enumerate(panel.series):
        colour = COLOURS[number % len(COLOURS)]
        spots = [(x(at), y(value)) for at, value in one.points]
        if one.line:
            path = "L".join(f"{a:.1f} {b:.1f}" for a, b in spots)
            parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>' if path else "")
        else:
            path = "".join(f"M{a:.1f} {b:.1f}h.01" for a, b in spots)
            parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="2.5" stroke-linecap="round" opacity=".5"/>')
        parts.append(
            f'<text x="{WIDTH - RIGHT + 12}" y="{top + 14 + 18 * number}" fill="{colour}">{escape(one.name)}</text>'
        )
    return parts
