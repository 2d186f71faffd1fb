"""Decisions about one question: thresholds, the price of an error, and a ceiling that holds over a stream."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.errors import OverBudget
from router.arbiter.rules import AtLeast, Paced, Rule, Verdict, WorthIt

# --- a threshold ------------------------------------------------------------------------------------------------------


def test_from_the_threshold_on_the_cloud_is_asked() -> None:
    rule = AtLeast(0.5, 0.0)
    assert rule.decide(0.5) == Verdict(True, 0.5)
    assert rule.decide(0.49) == Verdict(False, 0.5)
    assert not rule.priced


def test_an_unfamiliar_question_has_its_own_threshold_where_that_is_lower() -> None:
    assert AtLeast(0.5, 0.0).decide(0.1, familiar=False) == Verdict(True, 0.0)
    assert AtLeast(0.5, 0.0).decide(-0.1, familiar=False) == Verdict(False, 0.0)
    assert AtLeast(0.5, 0.9).decide(0.6, familiar=False) == Verdict(True, 0.5)


def test_endless_thresholds_are_always_and_never() -> None:
    assert AtLeast(-math.inf, -math.inf).decide(-1.0).to_cloud
    assert not AtLeast(math.inf, math.inf).decide(1.0).to_cloud


# --- the price of an error --------------------------------------------------------------------------------------------


def test_the_cloud_is_asked_where_the_errors_that_it_saves_are_worth_more() -> None:
    rule = WorthIt(0.10)
    assert rule.priced
    assert rule.decide(0.5, 0.02) == Verdict(True, 0.02 / 0.10)
    assert not rule.decide(0.1, 0.02).to_cloud
    assert not rule.decide(0.1, 0.02, familiar=False).to_cloud
    assert rule.decide(0.1, 0.0).to_cloud
    assert not WorthIt(0.0).decide(1.0, 0.0001).to_cloud


@pytest.mark.parametrize(
    ("rule", "setting"), [(WorthIt(0.1), "router.usd_per_error"), (Paced(0.1), "router.usd_per_question")]
)
def test_an_unknown_price_is_over_budget(rule: Rule, setting: str) -> None:
    for most in (None, math.nan):
        for decide in (rule.decide, rule.foresee):
            with pytest.raises(OverBudget, match=rf"unknown, so {setting} cannot.* set cloud\.usd_per_mtok_prompt"):
                decide(0.9, most)


@pytest.mark.parametrize("rule", [AtLeast(0.5, 0.0), WorthIt(0.1)])
def test_what_counts_nothing_foresees_what_it_decides(rule: Rule) -> None:
    for gain in (-0.5, 0.1, 0.7):
        for familiar in (True, False):
            verdict = rule.decide(gain, 0.02, familiar=familiar)
            assert rule.foresee(gain, 0.02, familiar=familiar) == verdict
            assert verdict.reserved_usd == 0.0
            rule.settle(verdict, 5.0)
            assert rule.decide(gain, 0.02, familiar=familiar) == verdict


# --- a ceiling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 7, 50])
def test_the_mean_never_exceeds_the_ceiling_however_many_are_in_flight(at_once: int) -> None:
    chance = np.random.default_rng(at_once)
    ceiling, rule = 0.002, Paced(0.002)
    spent, count, in_flight, called = 0.0, 0, list[tuple[Verdict, float]](), 0
    for gain, most in zip(chance.random(3000), chance.lognormal(math.log(0.004), 0.7, 3000), strict=True):
        count += 1
        verdict = rule.decide(float(gain), float(most))
        if verdict.to_cloud:
            assert verdict.reserved_usd == most
            called += 1
            in_flight.append((verdict, float(most * chance.uniform(0.3, 1.0))))
        if len(in_flight) >= at_once:
            for earlier, usd in in_flight:
                rule.settle(earlier, usd)
                spent += usd
            in_flight.clear()
        assert spent + sum(verdict.reserved_usd for verdict, _ in in_flight) <= ceiling * count * (1 + 1e-9)
    assert called > 300
    assert spent > 0.6 * ceiling * count  # a question costs 0.65 of what is reserved, and the price follows that


def test_what_goes_is_what_gains_most() -> None:
    chance = np.random.default_rng(0)
    rule, gained = Paced(0.001), list[float]()
    gains = chance.random(3000)
    for gain in gains:
        verdict = rule.decide(float(gain), 0.004)
        rule.settle(verdict, 0.004)
        gained += [float(gain)] if verdict.to_cloud else []
    assert np.mean(gained) > 1.3 * gains.mean()


def test_an_unknown_cost_counts_as_what_was_reserved() -> None:
    known, unknown = Paced(0.01), Paced(0.01)
    for rule, usd in ((known, 0.001), (unknown, None)):
        for _ in range(10):
            rule.decide(-1.0, 0.01)
        verdict = rule.decide(1.0, 0.1)
        assert verdict.to_cloud
        assert verdict.reserved_usd == 0.1
        rule.settle(verdict, usd)
    assert known.decide(1.0, 0.1).to_cloud
    assert not unknown.decide(1.0, 0.1).to_cloud


def test_what_stayed_costs_nothing() -> None:
    rule = Paced(0.01)
    stayed = rule.decide(1.0, 0.02)
    assert (stayed.to_cloud, stayed.reserved_usd) == (False, 0.0)
    assert "router.usd_per_question" in stayed.because
    rule.settle(stayed, 5.0)
    assert rule.decide(1.0, 0.02).to_cloud


def test_an_answer_that_was_free_after_all_gives_its_money_back() -> None:
    rule = Paced(0.01)
    first = rule.decide(1.0, 0.01)
    assert first.to_cloud
    rule.settle(first, 0.0)
    assert rule.decide(1.0, 0.02).to_cloud


@given(st.lists(st.tuples(st.floats(-1, 1), st.sampled_from([0.0, 0.001, 0.02])), max_size=30))
def test_what_is_foreseen_is_then_decided(asked: list[tuple[float, float]]) -> None:
    rule = Paced(0.005)
    for gain, most in asked:
        foreseen, decided = rule.foresee(gain, most), rule.decide(gain, most)
        assert (foreseen.to_cloud, foreseen.threshold) == (decided.to_cloud, decided.threshold)


def test_a_free_cloud_is_not_asked_where_it_is_worse() -> None:
    assert not Paced(0.01).decide(-0.5, 0.0).to_cloud
    assert Paced(0.01).decide(0.5, 0.0).to_cloud


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.001, 0.1)), max_size=30), st.integers(0, 5))
def test_to_foresee_changes_nothing(asked: list[tuple[float, float]], times: int) -> None:
    plain, curious = Paced(0.01), Paced(0.01)
    for gain, most in asked:
        for _ in range(times):
            curious.foresee(gain, most)
        assert curious.decide(gain, most) == plain.decide(gain, most)


def test_what_is_foreseen_has_the_present_threshold_and_reserves_nothing() -> None:
    rule = Paced(0.001)
    for _ in range(200):
        rule.settle(rule.decide(1.0, 0.01), None)
    threshold = rule.foresee(1.0, 0.01).threshold
    assert threshold > 0
    assert 1.5 * threshold < rule.foresee(1.0, 0.02).threshold < 2 * threshold
    assert rule.foresee(threshold / 2, 0.01) == Verdict(False, threshold)
