"""Pictures of figures, as SVG text: points on logarithmic axes.

Owns how they look. Knows nothing of benchmarks, needs no package.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

#: Distinct for those who see few colours, too: Okabe and Ito's, black first.
_COLOURS = (
    "#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
    "#7f7f7f", "#8c510a",
)  # fmt: skip
_TEXT = 'font-family="sans-serif" font-size="13"'
_LEFT, _TOP, _LEGEND_LINE = 110, 44, 20


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis: from a power of ten to another, between two pixels."""

    low: int
    high: int
    begin: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], begin: float, end: float) -> "Axis":
        """Return one that holds all these values, which are positive."""
        low, high = floor(log10(min(values))), ceil(log10(max(values)))
        return cls(low, max(high, low + 1), begin, end)

    def at(self, value: float) -> float:
        """Return where a value is."""
        part = (log10(value) - self.low) / (self.high - self.low)
        return self.begin + part * (self.end - self.begin)

    def ticks(self) -> list[tuple[float, str]]:
        """Return where each power of ten is, and how it is written."""
        return [
            (self.at(10.0**power), _power(power))
            for power in range(self.low, self.high + 1)
        ]


def _power(power: int) -> str:
    return f"{10.0**power:g}" if power < 0 else f"{10**power:,}"


def _label(x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" {_TEXT} fill="#222" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#ddd") -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}"/>'
    )


def _dot(x: float, y: float, series: int) -> str:
    """Return a point; circles and squares by turns."""
    colour = _COLOURS[series % len(_COLOURS)]
    if series % 2:
        return f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="{colour}"/>'  # noqa: E501
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}"/>'


def _legend(names: Sequence[str], x: float) -> list[str]:
    parts = []
    for number, name in enumerate(names):
        y = _TOP + 8 + number * _LEGEND_LINE
        parts += [_dot(x, y, number), _label(x + 14, y + 4, name)]
    return parts


def _picture(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" '
        f'height="{height:g}" viewBox="0 0 {width:g} {height:g}" role="img">'
    )
    back = f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>'
    named = f"<title>{escape(title)}</title>"
    return "\n".join([head, named, back, _label(16, 24, title), *parts, "</svg>", ""])


def rows(title: str, values: Mapping[str, Mapping[str, float]]) -> str:
    """Draw a line for each row, and on it a point for each series that has a value.

    Args:
        title: What the picture says.
        values: By row and series. 1 is marked.
    """
    names = list(dict.fromkeys(name for row in values.values() for name in row))
    bottom = _TOP + 34 * len(values)
    every = [value for row in values.values() for value in row.values()]
    axis = Axis.around([*every, 1.0], _LEFT, _LEFT + 520)
    parts = [_line(x, _TOP - 8, x, bottom) for x, _ in axis.ticks()]
    parts += [_label(x, bottom + 18, text, "middle") for x, text in axis.ticks()]
    parts.append(_line(axis.at(1.0), _TOP - 8, axis.at(1.0), bottom, "#222"))
    for number, (row, points) in enumerate(values.items()):
        y = _TOP + 12 + 34 * number
        parts.append(_label(_LEFT - 12, y + 4, row, "end"))
        parts.append(_line(axis.begin, y, axis.end, y, "#eee"))
        # The first series last: where points meet, it is on top.
        for name, value in reversed(points.items()):
            parts.append(_dot(axis.at(value), y, names.index(name)))
    parts += _legend(names, axis.end + 30)
    height = max(bottom + 34, _TOP + _LEGEND_LINE * len(names) + 10)
    return _picture(axis.end + 160, height, title, parts)


def curves(
    title: str, across: str, series: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """Draw a line for each series, through its points, on two logarithmic axes.

    Args:
        title: What the picture says: what is drawn upwards, and its unit.
        across: What is drawn to the right.
        series: Points of positive numbers, by name.
    """
    points = [point for each in series.values() for point in each]
    x_axis = Axis.around([x for x, _ in points], _LEFT, _LEFT + 460)
    y_axis = Axis.around([y for _, y in points], _TOP + 280, _TOP)
    parts: list[str] = []
    for x, text in x_axis.ticks():
        parts.append(_line(x, y_axis.begin, x, y_axis.end))
        parts.append(_label(x, y_axis.begin + 18, text, "middle"))
    for y, text in y_axis.ticks():
        parts.append(_line(x_axis.begin, y, x_axis.end, y))
        parts.append(_label(x_axis.begin - 8, y + 4, text, "end"))
    middle = (x_axis.begin + x_axis.end) / 2
    parts.append(_label(middle, y_axis.begin + 40, across, "middle"))
    for number, each in enumerate(series.values()):
        places = [(x_axis.at(x), y_axis.at(y)) for x, y in each]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        parts += [_dot(x, y, number) for x, y in places]
    parts += _legend(list(series), x_axis.end + 30)
    return _picture(x_axis.end + 220, y_axis.begin + 56, title, parts)
