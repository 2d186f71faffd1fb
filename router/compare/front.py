"""Which modes nobody beats: the Pareto front of accuracy against what it costs, in money or in time."""

from __future__ import annotations

from collections.abc import Mapping


def pareto(modes: Mapping[str, tuple[float, float]]) -> list[str]:
    """The modes, each given as (price, accuracy), for which no other is better in one and at least as good in both."""
    return [mode for mode, own in modes.items() if not any(_beats(other, own) for other in modes.values())]


def _beats(other: tuple[float, float], own: tuple[float, float]) -> bool:
    return other != own and other[0] <= own[0] and other[1] >= own[1]
