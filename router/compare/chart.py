"""Cost against accuracy as inline SVG: one point a mode, 95 % intervals as whiskers, the Pareto front filled."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from router.compare.figures import dollars
from router.compare.summary import Summary

_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 16, 52
_CHARACTER, _LINE = 6.7, 15


@dataclass(frozen=True, slots=True)
class _Point:
    mode: str
    cost: tuple[float, float, float]  # mean, low, high; USD for 1,000 questions
    accuracy: tuple[float, float, float]
    front: bool


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
    points = _points(summary)
    if len(points) < 2:
        return Markup("")
    top = max(point.cost[2] for point in points) or 1.0
    ticks = _ticks(top)
    scale = ticks[-1]

    def x(cost: float) -> float:
        return _LEFT + cost / scale * (_WIDTH - _LEFT - _RIGHT)

    def y(accuracy: float) -> float:
        return _TOP + (1 - accuracy) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Accuracy against cost by mode">'
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(share):.1f}" y2="{y(share):.1f}"/>'
        )
        parts.append(f'<text class="tick end" x="{_LEFT - 8}" y="{y(share) + 4:.1f}">{share:.0%}</text>')
    parts += [
        f'<text class="tick middle" x="{x(tick):.1f}" y="{_HEIGHT - _BOTTOM + 20}">{escape(dollars(tick))}</text>'
        for tick in ticks
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="axis middle" x="{middle}" y="{_HEIGHT - 10}">cost of 1,000 questions (USD)</text>')
    for point in points:
        parts += _mark(
            point,
            x(point.cost[0]),
            y(point.accuracy[0]),
            [x(at) for at in point.cost[1:]],
            [y(at) for at in point.accuracy[1:]],
        )
    parts += _labels([(point.mode, x(point.cost[0]), y(point.accuracy[0])) for point in points])
    parts.append("</svg>")
    return Markup("\n".join(parts))  # noqa: S704 - numbers, our own markup and escaped names


def _points(summary: Summary) -> list[_Point]:
    known = {
        mode: found
        for mode, found in summary.modes.items()
        if found.cost_usd.mean is not None and found.accuracy.mean is not None
    }
    means = {mode: (found.cost_usd.mean or 0.0, found.accuracy.mean or 0.0) for mode, found in known.items()}
    return [
        _Point(
            mode=mode,
            cost=(1000 * means[mode][0], 1000 * (found.cost_usd.lo or 0.0), 1000 * (found.cost_usd.hi or 0.0)),
            accuracy=(means[mode][1], found.accuracy.lo or 0.0, found.accuracy.hi or 0.0),
            front=not any(_better(other, means[mode]) for other in means.values()),
        )
        for mode, found in known.items()
    ]


def _better(other: tuple[float, float], own: tuple[float, float]) -> bool:
    return other != own and other[0] <= own[0] and other[1] >= own[1]


def _ticks(top: float) -> list[float]:
    """Round numbers from 0 to just over the largest cost."""
    power = 10.0
    while power > top / 4:
        power /= 10
    step = next(power * factor for factor in (1, 2, 5, 10, 20, 50, 100) if power * factor * 5 >= top)
    return [step * index for index in range(int(top / step * 0.999) + 2)]


def _mark(point: _Point, x: float, y: float, across: list[float], up: list[float]) -> list[str]:
    return [
        f'<line class="whisker" x1="{across[0]:.1f}" x2="{across[1]:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>',
        f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{up[0]:.1f}" y2="{up[1]:.1f}"/>',
        f'<circle class="{"front" if point.front else "dominated"}" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>',
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
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="{y:.1f}" x2="{end:.1f}" y2="{chosen.y + 8:.1f}"/>')
        parts.append(f'<text class="label" x="{chosen.x:.1f}" y="{chosen.y + 12:.1f}">{escape(mode)}</text>')
    return parts
