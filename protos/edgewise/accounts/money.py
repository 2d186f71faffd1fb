"""Dollars as whole numbers, so that a hundred sums are exact."""

from __future__ import annotations

import math

PER_USD = 1_000_000_000


def nanos(usd: float) -> int:
    """Billionths of a dollar, rounded up; the noise of floats (0.1 + 0.2) is no billionth."""
    return math.ceil(round(usd * PER_USD, 3))


def usd(amount: int) -> float:
    return amount / PER_USD
