"""Thresholds from wishes; promises are held against many worlds in which they could be broken."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from router.arbiter.metrics import Floats
from router.arbiter.thresholds import Pacer, _surely_below, by_price, by_share, guaranteed

WORLDS = 1000


# --- share and price --------------------------------------------------------------------------------------------------


def test_a_share_of_the_questions() -> None:
    gains = np.array([0.1, 0.4, 0.2, 0.3])
    for share, count in ((0.0, 0), (0.25, 1), (0.6, 2), (1.0, 4)):
        assert (gains >= by_share(gains, share)).sum() == count
    assert (np.array([0.5, 0.5, 0.1]) >= by_share(np.array([0.5, 0.5, 0.1]), 0.34)).sum() == 0


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.9]), min_size=1), st.floats(0, 1))
def test_never_more_than_the_share(gains: list[float], share: float) -> None:
    values = np.array(gains)
    assert (values >= by_share(values, share)).mean() <= share + 1e-9


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share must be between 0 and 1"):
        by_share(np.array([0.5]), share)


def test_the_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no questions"):
        by_share(np.array([]), 0.5)


def test_a_price_of_errors() -> None:
    assert by_price(0.01, 0.05) == pytest.approx(0.2)
    assert by_price(0.01, 0.0) == math.inf
    with pytest.raises(ValueError, match="the price of an error"):
        by_price(0.01, -1.0)


# --- promises ---------------------------------------------------------------------------------------------------------


def world(count: int, chance: np.random.Generator) -> tuple[Floats, Floats]:
    """Trust that says something: right with a probability of 0.45 to 0.95."""
    trust = chance.random(count)
    return trust, (chance.random(count) < 0.45 + 0.5 * trust).astype(np.float64)


def risk(threshold: float) -> float:
    """The true share of wrong ones among answers of that world with at least so much trust."""
    return 1 - (0.45 + 0.5 * (threshold + 1) / 2)


@pytest.mark.parametrize(("alpha", "delta"), [(0.1, 0.05), (0.2, 0.1), (0.3, 0.05)])
def test_a_promise_is_broken_no_more_often_than_it_says(alpha: float, delta: float) -> None:
    chance = np.random.default_rng(0)
    promises = [guaranteed(*world(400, chance), alpha, delta) for _ in range(WORLDS)]
    broken = sum(risk(promise.threshold) > alpha for promise in promises if promise)
    assert broken <= binom.ppf(0.999, WORLDS, delta)


def test_a_threshold_that_only_looks_good_breaks_it() -> None:
    """What the test above would find: the lowest threshold whose graded answers happen to be good enough."""
    chance, broken = np.random.default_rng(0), 0
    for _ in range(WORLDS):
        trust, right = world(400, chance)
        order = np.argsort(-trust)
        wrong = np.cumsum(1 - right[order]) / np.arange(1, 401)
        looks_good = np.flatnonzero(wrong <= 0.2)
        broken += len(looks_good) > 0 and risk(trust[order][looks_good[-1]]) > 0.2
    assert broken > binom.ppf(0.999, WORLDS, 0.1)


def test_a_promise_keeps_much_of_what_it_could() -> None:
    kept = [
        promise.kept if (promise := guaranteed(*world(2000, np.random.default_rng(n)), 0.2, 0.1)) else 0.0
        for n in range(50)
    ]
    assert 0.45 < np.mean(kept) < 0.6  # with all knowledge: 0.6


def test_one_unlucky_strict_threshold_does_not_end_everything() -> None:
    """Nine of ten are right, and trust says nothing: at most two of ten wrong can be promised of most answers."""
    chance = np.random.default_rng(0)
    promises = [
        guaranteed(chance.random(500), (chance.random(500) < 0.9).astype(np.float64), 0.2, 0.1) for _ in range(100)
    ]
    assert sum(promise is not None and promise.kept > 0.9 for promise in promises) >= 90


def test_where_nothing_is_good_enough_nothing_is_promised() -> None:
    assert guaranteed(np.linspace(0, 1, 100), np.zeros(100), 0.2, 0.1) is None
    promise = guaranteed(np.linspace(0, 1, 100), np.ones(100), 0.2, 0.1)
    assert promise is not None
    assert promise.kept == 1.0


@given(st.integers(1, 60), st.data(), st.floats(0.01, 0.99))
def test_the_tail_is_that_of_the_binomial(count: int, data: st.DataObject, alpha: float) -> None:
    wrong = data.draw(st.integers(0, count))
    tail = float(binom.cdf(wrong, count, alpha))
    assert _surely_below(wrong, count, alpha, tail * 1.001 + 1e-12)
    assert not _surely_below(wrong, count, alpha, tail * 0.999 - 1e-12)


@pytest.mark.parametrize(
    ("trust", "right", "alpha", "says"),
    [
        (np.ones(10), np.ones(10), 0.1, "10 graded answers are too few"),
        (np.ones(30), np.full(30, 0.5), 0.1, "grades that are 0 or 1"),
        (np.full(30, np.nan), np.ones(30), 0.1, "a trust for every answer"),
        (np.ones(30), np.ones(30), 1.5, "alpha must be between 0 and 1"),
    ],
)
def test_what_no_promise_can_be_made_from_is_refused(trust: Floats, right: Floats, alpha: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        guaranteed(trust, right, alpha, 0.1)


# --- a budget ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ceiling", [0.0005, 0.002, 0.01])
def test_the_mean_is_never_above_the_ceiling_and_the_money_is_used_where_it_gains_most(ceiling: float) -> None:
    chance = np.random.default_rng(0)
    gains, costs = chance.random(5000), chance.lognormal(math.log(0.004), 0.7, 5000)
    pacer, gained, called = Pacer(ceiling), 0.0, 0
    for gain, cost in zip(gains, costs, strict=True):
        goes = pacer.allows(gain, cost)
        if goes:
            pacer.spent(cost, cost)
        gained += gain * goes
        called += goes
        assert pacer.mean_usd <= ceiling * 1.005
    assert pacer.mean_usd > 0.9 * min(ceiling, costs.mean())
    if ceiling < costs.mean():
        assert gained / called > 1.2 * gains.mean()


def test_without_a_ceiling_nothing_is_spent() -> None:
    assert not Pacer(0.0).allows(1.0, 0.0001)
    with pytest.raises(ValueError, match="the ceiling"):
        Pacer(-1.0)
