"""A chart of lines as an SVG picture: no more than this project needs, and readable on light and on dark pages.

Both axes are logarithmic or linear. A series that ends early has a mark there, with a word why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

__all__ = ["Axis", "Chart", "Series"]

_WIDTH, _HEIGHT = 860, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 210, 56, 52
_LINE_OF_NAMES: Final = 17
"""How far apart the names of lines must be, at the right."""

# Of the Okabe-Ito palette, which those tell apart who do not see all colours; each with what it is on a dark page.
_COLOURS: Final = (
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff9a4d"),
    ("#008f6b", "#2ecfa3"),
    ("#a8568a", "#e59ac8"),
    ("#8a7400", "#f0e442"),
    ("#555555", "#bbbbbb"),
    ("#7a4fd0", "#b79cff"),
    ("#b3242b", "#ff7b82"),
)
_DASHES: Final = ("", "7 4", "2 3", "9 3 2 3")

_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.grid { stroke: #d0d7de; stroke-width: 1 }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
.end { stroke-width: 2.4 }
"""


class Axis(NamedTuple):
    """What is told along one side, between two values, with a line of the grid at each of `ticks`."""

    title: str
    lowest: float
    highest: float
    ticks: Sequence[float]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where on the axis a value is, from 0 to 1."""
        scale: Callable[[float], float] = math.log10 if self.logarithmic else float
        low, high = scale(self.lowest), scale(self.highest)
        return (scale(value) - low) / (high - low)


class Series(NamedTuple):
    """A line through points, from left to right; `ended` says why it goes no further, if it does not."""

    name: str
    points: Sequence[tuple[float, float]]
    ended: str = ""


class Chart(NamedTuple):
    """A title, two axes and lines."""

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]

    def draw(self) -> str:
        """The picture."""
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
                f"<title>{escape(self.title)}</title>",
                f"<style>{_STYLE}{''.join(_colours(len(self.series)))}</style>",
                f'<text class="title" x="{_LEFT}" y="24">{escape(self.title)}</text>',
                *self._grid(),
                *self._lines(),
                *self._names(),
                "</svg>",
                "",
            ]
        )

    def _place(self, x: float, y: float) -> tuple[float, float]:
        return (
            round(_LEFT + self.x.share(x) * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_HEIGHT - _BOTTOM - self.y.share(y) * (_HEIGHT - _TOP - _BOTTOM), 1),
        )

    def _grid(self) -> Iterator[str]:
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        for tick in self.x.ticks:
            across, _ = self._place(tick, self.y.lowest)
            yield f'<path class="grid" d="M{across} {_TOP}V{bottom}"/>'
            yield f'<text x="{across}" y="{bottom + 20}" text-anchor="middle">{tick:,.10g}</text>'
        for tick in self.y.ticks:
            _, down = self._place(self.x.lowest, tick)
            yield f'<path class="grid" d="M{_LEFT} {down}H{right}"/>'
            yield f'<text x="{_LEFT - 8}" y="{down + 4}" text-anchor="end">{tick:,.10g}</text>'
        middle = (_LEFT + right) / 2
        yield f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(self.x.title)}</text>'
        yield f'<text x="{_LEFT}" y="{_TOP - 10}">{escape(self.y.title)}</text>'

    def _lines(self) -> Iterator[str]:
        for number, series in enumerate(self.series):
            places = [self._place(*point) for point in series.points]
            path = "L".join(f"{across} {down}" for across, down in places)
            yield f'<path class="line s{number}" d="M{path}"/>'
            for across, down in places:
                yield f'<circle class="dot d{number}" cx="{across}" cy="{down}" r="2.6"/>'
            if series.ended:
                across, down = places[-1]
                yield (
                    f'<path class="end s{number}" d="M{across - 6} {down - 6}l12 12m0 -12l-12 12"/>'
                    f'<text class="d{number}" x="{across + 9}" y="{down - 7}">{escape(series.ended)}</text>'
                )

    def _names(self) -> Iterator[str]:
        """At the right, in the order in which the lines end there."""
        ends = sorted(
            (self._place(*series.points[-1])[1], number) for number, series in enumerate(self.series)
        )
        place = float(_TOP)
        for down, number in ends:
            place = max(place + _LINE_OF_NAMES, min(down + 4, _HEIGHT - _BOTTOM))
            left = _WIDTH - _RIGHT + 12
            yield f'<path class="line s{number}" d="M{left} {place - 4}h18"/>'
            yield f'<text class="d{number}" x="{left + 24}" y="{place}">{escape(self.series[number].name)}</text>'


def _colours(count: int) -> Iterator[str]:
    for number in range(count):
        dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
        yield _coloured(number, _COLOURS[number % len(_COLOURS)][0])
        if dash:
            yield f".line.s{number} {{ stroke-dasharray: {dash} }}\n"
    yield "@media (prefers-color-scheme: dark) {\ntext { fill: #e6edf3 }\n.grid { stroke: #3d444d }\n"
    for number in range(count):
        yield _coloured(number, _COLOURS[number % len(_COLOURS)][1])
    yield "}\n"


def _coloured(number: int, colour: str) -> str:
    return f".s{number} {{ stroke: {colour} }} .d{number} {{ fill: {colour} }}\n"
