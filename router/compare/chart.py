"""Accuracy against cost or time as inline SVG: a point a mode, 95 % intervals as whiskers, the Pareto front filled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup, escape

from router.compare.figures import dollars, percent, seconds
from router.compare.front import pareto
from router.compare.summary import ModeSummary, Summary

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 16, 52
_CHARACTER, _LINE = 6.7, 15
_ZERO = 44  # a logarithmic axis has no zero: what costs nothing stands apart, this far to the left of the rest
_WIDE_RANGE = 25  # from this ratio of largest to smallest on, a linear axis would crowd the small ones together


@dataclass(frozen=True, slots=True)
class _Span:
    mean: float
    lo: float
    hi: float


@dataclass(frozen=True, slots=True)
class _Point:
    mode: str
    price: _Span
    accuracy: _Span
    front: bool


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where a value stands, in the units of the picture, and which values are written on it."""

    place: Callable[[float], float]
    ticks: list[float]


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: _Box) -> float:
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return across * down if across > 0 and down > 0 else 0.0


def cost_accuracy(summary: Summary) -> Markup:
    """The chart, '' if fewer than two modes have a known cost. Styled by classes of the page."""

    def price(found: ModeSummary) -> _Span | None:
        cost = found.cost_usd
        return _span(cost.mean, cost.lo, cost.hi, 1000)

    return _chart(_points(summary, price), "cost of 1,000 questions", dollars)


def latency_accuracy(summary: Summary) -> Markup:
    """The chart by the median time to the whole answer, '' if fewer than two modes have answered."""

    def price(found: ModeSummary) -> _Span | None:
        took = found.latency_s
        return _span(took.p50, took.p50_lo, took.p50_hi, 1)

    return _chart(_points(summary, price), "median time to the whole answer", seconds)


def _span(mean: float | None, lo: float | None, hi: float | None, factor: float) -> _Span | None:
    if mean is None:
        return None
    return _Span(factor * mean, factor * (mean if lo is None else lo), factor * (mean if hi is None else hi))


def _points(summary: Summary, price: Callable[[ModeSummary], _Span | None]) -> list[_Point]:
    found: dict[str, tuple[_Span, _Span]] = {}
    for mode, own in summary.modes.items():
        across, up = price(own), _span(own.accuracy.mean, own.accuracy.lo, own.accuracy.hi, 1)
        if across and up:
            found[mode] = across, up
    front = pareto({mode: (across.mean, up.mean) for mode, (across, up) in found.items()})
    return [_Point(mode, across, up, mode in front) for mode, (across, up) in found.items()]


def _chart(points: list[_Point], title: str, write: Callable[[float], str]) -> Markup:
    if len(points) < 2:
        return Markup("")
    across, up = _price_axis(points), _share_axis(points)
    label = f"Accuracy against {title}, by mode"
    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">']
    for share in up.ticks:
        y = up.place(share)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 8}" y="{y + 4:.1f}">{percent(share)}</text>')
    for tick in across.ticks:
        x, written = across.place(tick), escape(write(tick))
        parts.append(f'<text class="tick middle" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 20}">{written}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="axis middle" x="{middle}" y="{_HEIGHT - 10}">{title}</text>')
    parts.append(_staircase([point for point in points if point.front], across, up))
    for point in points:
        parts += _mark(point, across, up, write)
    parts += _labels([(point.mode, across.place(point.price.mean), up.place(point.accuracy.mean)) for point in points])
    parts.append("</svg>")
    return Markup("\n".join(parts))  # noqa: S704 - numbers, our own markup and escaped names


def _share_axis(points: list[_Point]) -> _Axis:
    """As much of 0 to 100 % as the intervals need."""
    floor = math.floor(min(point.accuracy.lo for point in points) * 10) / 10
    top = math.ceil(max(point.accuracy.hi for point in points) * 10) / 10
    step = 0.1 if top - floor <= 0.5 else 0.25
    floor, top = math.floor(floor / step + 1e-9) * step, min(1.0, math.ceil(top / step - 1e-9) * step)

    def place(share: float) -> float:
        return _TOP + (top - share) / (top - floor) * (_HEIGHT - _TOP - _BOTTOM)

    return _Axis(place, [floor + step * index for index in range(round((top - floor) / step) + 1)])


def _price_axis(points: list[_Point]) -> _Axis:
    """Linear from zero, or logarithmic where the modes lie far apart."""
    positive = [point.price.mean for point in points if point.price.mean > 0]
    if not positive or max(positive) < _WIDE_RANGE * min(positive):
        return _linear(max(point.price.hi for point in points) or 1.0)
    known = [end for point in points for end in (point.price.lo, point.price.mean, point.price.hi) if end > 0]
    first = _LEFT + (_ZERO + 20 if len(positive) < len(points) else 20)
    low, high = math.log10(max(min(known), min(positive) / 10)), math.log10(max(known))

    def place(value: float) -> float:
        if value <= 0:
            return _LEFT + 20 if first > _LEFT + 20 else _LEFT
        return max(_LEFT, first + (math.log10(value) - low) / (high - low) * (_WIDTH - _RIGHT - 10 - first))

    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in ((1, 3) if high - low < 3 else (1,))]
    zero = [0.0] if len(positive) < len(points) else []
    return _Axis(place, zero + [tick for tick in ticks if low - 0.05 <= math.log10(tick) <= high + 0.05])


def _linear(top: float) -> _Axis:
    """Round numbers from 0 to just over the largest."""
    power = 10.0 ** math.floor(math.log10(top / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= top * (1 - 1e-9))
    ticks = [step * index for index in range(math.ceil(top / step * (1 - 1e-9)) + 1)]

    def place(value: float) -> float:
        return _LEFT + value / ticks[-1] * (_WIDTH - _LEFT - _RIGHT)

    return _Axis(place, ticks)


def _staircase(front: list[_Point], across: _Axis, up: _Axis) -> str:
    """What the front reaches: for a price, the accuracy of the best mode at most as dear."""
    ordered = sorted(front, key=lambda point: (point.price.mean, point.accuracy.mean))
    path = ""
    for point in ordered:
        x, y = across.place(point.price.mean), up.place(point.accuracy.mean)
        path += f" H{x:.1f} V{y:.1f}" if path else f"M{x:.1f} {y:.1f}"
    return f'<path class="reach" d="{path} H{_WIDTH - _RIGHT}"/>'


def _mark(point: _Point, across: _Axis, up: _Axis, write: Callable[[float], str]) -> list[str]:
    x, y = across.place(point.price.mean), up.place(point.accuracy.mean)
    left, right = across.place(point.price.lo), across.place(point.price.hi)
    low, high = up.place(point.accuracy.lo), up.place(point.accuracy.hi)
    said = escape(f"{point.mode}: {percent(point.accuracy.mean)} right, {write(point.price.mean)}")
    kind = "front" if point.front else "dominated"
    return [
        f'<line class="whisker" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>',
        f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>',
        f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5.5"><title>{said}</title></circle>',
    ]


def _labels(named: list[tuple[str, float, float]]) -> list[str]:
    """Each name beside its point, where it covers least of what has been placed before."""
    taken = [_Box(x - 8, y - 8, 16, 16) for _, x, y in named]
    frame = _Box(_LEFT, 0, _WIDTH - _LEFT, _HEIGHT - _BOTTOM)
    parts: list[str] = []
    for mode, x, y in sorted(named, key=lambda item: item[2]):
        width = len(mode) * _CHARACTER
        shifts = (0, -1, 1, -2, 2, -3, 3, -4, 4)
        options = [_Box(x + 10, y - 8 + shift * _LINE, width, _LINE) for shift in shifts]
        options += [_Box(x - 10 - width, y - 8 + shift * _LINE, width, _LINE) for shift in shifts]
        chosen = min(
            options,
            key=lambda box: (
                round(sum(box.overlap(other) for other in taken) + 10 * (width * _LINE - box.overlap(frame))),
                abs(box.y + 8 - y),
            ),
        )
        taken.append(chosen)
        if abs(chosen.y + 8 - y) > _LINE:
            end = chosen.x if chosen.x > x else chosen.x + width
            parts.append(f'<line class="leader" x1="{x:.1f}" y1="{y:.1f}" x2="{end:.1f}" y2="{chosen.y + 8:.1f}"/>')
        parts.append(f'<text class="label" x="{chosen.x:.1f}" y="{chosen.y + 12:.1f}">{escape(mode)}</text>')
    return parts
