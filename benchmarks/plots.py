"""Small plots as SVG, on logarithmic scales."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#2a7f62", "#b5532a", "#3a5fa0", "#7a4f9a", "#8a8a2a")


def bars(items: Sequence[tuple[str, float]]) -> str:
    """A bar for each ratio on a scale from 0.1 to 1000, from a line at 1."""

    def x(ratio: float) -> float:
        return 380 + 85 * (math.log10(max(0.1, min(ratio, 1000))) + 1)

    height = 24 * len(items) + 40
    shapes = []
    for tick in (0.1, 1, 10, 100, 1000):
        shapes.append(_line(x(tick), 10, x(tick), height - 24, "#444" if tick == 1 else "#ddd"))
        shapes.append(_text(x(tick), height - 8, f"{tick:g}×", "middle"))
    for index, (label, ratio) in enumerate(items):
        y = 24 * index + 14
        left, right = sorted((x(1), x(ratio)))
        colour = _COLOURS[0] if ratio >= 1 else _COLOURS[1]
        shapes.append(_text(372, y + 12, label[:62], "end"))
        shapes.append(f'<rect x="{left:.0f}" y="{y}" width="{max(1, right - left):.0f}" height="16" fill="{colour}"/>')
        shapes.append(_text(right + 5, y + 12, f"{ratio:.1f}×"))
    return _drawing(height, shapes)


def lines(curves: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """A curve for each name through its points, both axes logarithmic, a tick at each power of ten."""
    points = [point for curve in curves.values() for point in curve]
    (left, right), (low, high) = (_decades([point[axis] for point in points]) for axis in (0, 1))

    def x(value: float) -> float:
        return 70 + 460 * (math.log10(value) - left) / (right - left)

    def y(value: float) -> float:
        return 270 - 250 * (math.log10(value) - low) / (high - low)

    shapes = []
    for power in range(left, right + 1):
        shapes += [_line(x(10**power), 20, x(10**power), 270, "#ddd")]
        shapes += [_text(x(10**power), 286, f"{10.0**power:g}", "middle")]
    for power in range(low, high + 1):
        shapes += [_line(70, y(10**power), 530, y(10**power), "#ddd")]
        shapes += [_text(64, y(10**power) + 4, f"{10.0**power:g}", "end")]
    shapes += [_text(300, 306, across, "middle"), _text(8, 12, up)]
    for index, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(f"{x(across_):.0f},{y(up_):.0f}" for across_, up_ in curve)
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        shapes.append(_line(550, 30 + 20 * index, 570, 30 + 20 * index, colour, 3))
        shapes.append(_text(576, 34 + 20 * index, name))
    return _drawing(316, shapes)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1) -> str:
    return f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="#333">{escape(text)}</text>'


def _drawing(height: int, shapes: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *shapes, "</svg>", ""])
