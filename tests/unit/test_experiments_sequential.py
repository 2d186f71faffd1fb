"""The test of experiments: rarely wrong however often it is looked at, right in the end, and the same in any pieces."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from router.experiments.sequential import Contest, Floats
from tests.bench.compare.sequential import (
    GRADES,
    NO_DIFFERENCE,
    Bools,
    Drawn,
    Scenario,
    measured,
    power,
    share_of_alarms,
)


def contest(rates: tuple[float, float], units: int, propensity: float = 0.5, alpha: float = 0.05) -> Contest:
    """Graded right or wrong at the rates of the control and of the arm."""
    rng = np.random.default_rng(3)
    is_arm = rng.random(units) < propensity
    held = Contest(propensity, alpha)
    held.add(is_arm, (rng.random(units) < np.where(is_arm, rates[1], rates[0])).astype(np.float64))
    return held


@pytest.mark.parametrize("scenario", NO_DIFFERENCE, ids=lambda one: one.name)
def test_false_alarms_stay_below_one_in_twenty_however_often_one_looks(scenario: Scenario) -> None:
    """400 runs: the limit leaves room for their chance, two standard errors beyond 5 %."""
    assert share_of_alarms(scenario, 400, 1000) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_the_benchmark_tells_the_worst_and_what_goes_wrong_otherwise() -> None:
    summary, rows = measured(runs=40, grades=300)
    alarms = [row for row in rows if row["what"] == "false alarms"]
    assert len(alarms) == len(NO_DIFFERENCE)
    assert summary["sequential_false_alarm"] == max(float(str(row["share"])) for row in alarms)
    [naive, peeking] = [float(str(row["share"])) for row in rows if "do not do" in str(row["what"])]
    assert naive > 0.3
    assert peeking > 0.2


@pytest.mark.parametrize(("difference", "at_most"), [(0.1, 2.5), (0.2, 2.5)])
def test_a_difference_is_found_with_a_small_multiple_of_what_a_fixed_size_needs(
    difference: float, at_most: float
) -> None:
    row = power(difference, 0.5, 100)
    assert float(str(row["grades_80"])) <= at_most * float(str(row["fixed_size_80"]))


def test_the_interval_covers_the_mean_difference_at_all_times_also_while_it_changes() -> None:
    """The arm is better by 0.3 at first and worse by 0.3 in the end."""
    missed = 0
    for run in range(200):
        rng = np.random.default_rng(run)
        is_arm = rng.random(GRADES) < 0.4
        gained = np.linspace(0.3, -0.3, GRADES)
        rates = np.where(is_arm, 0.5 + gained / 2, 0.5 - gained / 2)
        graded, means = (rng.random(GRADES) < rates).astype(np.float64), np.cumsum(gained) / np.arange(1, GRADES + 1)
        held = Contest(0.4)
        outside = False
        for start, stop in itertools.pairwise(range(0, GRADES + 1, 100)):
            held.add(is_arm[start:stop], graded[start:stop])
            lo, hi = held.interval()
            outside |= not lo <= means[stop - 1] <= hi
        missed += outside
    assert missed / 200 <= 0.05


def one_by_one(is_arm: Bools, grades: Floats) -> Contest:
    held = Contest(0.3)
    for arm, grade in zip(is_arm, grades, strict=True):
        held.add([arm], [grade])
    return held


def test_pieces_make_no_difference() -> None:
    rng = np.random.default_rng(0)
    is_arm, grades = rng.random(1500) < 0.3, rng.random(1500)
    grades[is_arm] = grades[is_arm] ** 0.5
    whole, single = Contest(0.3), one_by_one(is_arm, grades)
    whole.add(is_arm, grades)
    assert single.decided_after == whole.decided_after is not None
    assert single.units == whole.units == 1500
    for figure in (lambda one: one.p_value, lambda one: one.difference, lambda one: one.interval(),
                   lambda one: one.units_needed):  # fmt: skip
        checked: Callable[[Contest], object] = figure
        assert checked(single) == pytest.approx(checked(whole), rel=1e-6)


def test_the_interval_holds_the_estimate_and_ends_where_evidence_does() -> None:
    for rates, units in (((0.4, 0.6), 800), ((0.6, 0.4), 800), ((0.5, 0.5), 50), ((0.0, 1.0), 400), ((1.0, 0.0), 9)):
        held = contest(rates, units)
        lo, hi = held.interval()
        assert held.difference is not None
        assert -1 <= lo <= max(min(held.difference, 1), -1) <= hi <= 1
        assert held.is_below(min(hi + 1e-6, 1.0)) or hi == 1
        assert not held.is_below(hi - 1e-6)
        assert (held.decided_after is not None) or lo <= 0 <= hi


def test_the_estimate_is_the_difference_of_the_means() -> None:
    for propensity in (0.5, 0.1, 0.9):
        held = contest((0.5, 0.7), 20_000, propensity)
        assert held.difference == pytest.approx(0.2, abs=0.04)
        lo, hi = held.interval()
        assert 0 < lo < 0.2 < hi


def test_more_arms_ask_for_more() -> None:
    one, of_four = contest((0.5, 0.6), 1500), contest((0.5, 0.6), 1500, alpha=0.05 / 4)
    assert of_four.interval()[0] < one.interval()[0]
    assert of_four.interval()[1] > one.interval()[1]
    assert of_four.p_value == one.p_value


def test_nothing_is_known_before_the_first_unit() -> None:
    held = Contest(0.5)
    held.add([], [])
    assert (held.units, held.difference, held.p_value, held.decided_after) == (0, None, 1.0, None)
    assert held.interval() == (-1.0, 1.0)
    assert held.units_needed == math.inf
    assert not held.is_below(1.0)
    assert not held.is_unbalanced


def test_a_guess_of_what_is_needed_is_about_right() -> None:
    """Told after 300 units, and held against a future that is the same 300 again and again."""
    guessed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        is_arm = rng.random(300) < 0.5
        graded = (rng.random(300) < np.where(is_arm, 0.6, 0.5)).astype(np.float64)
        now, later = Contest(0.5), Contest(0.5)
        now.add(is_arm, graded)
        needed = now.units_needed
        if now.decided_after is None and needed < 6000:
            later.add(np.tile(is_arm, 21), np.tile(graded, 21))
            assert later.decided_after is not None
            assert needed / 2 < later.decided_after + 300 < 2 * needed + 600
            guessed += 1
    assert guessed > 5


def test_grading_that_depends_on_the_arm_is_noticed_and_lots_are_not_accused() -> None:
    """Of the arm two of three are graded, of the control all."""

    def graded(run: int, share: float) -> Contest:
        rng = np.random.default_rng(run)
        is_arm = rng.random(2000) < 0.5
        is_arm = is_arm[~is_arm | (rng.random(2000) < share)]
        held = Contest(0.5)
        held.add(is_arm, np.ones(len(is_arm)))
        return held

    assert all(graded(run, 2 / 3).is_unbalanced for run in range(50))
    assert sum(graded(run, 1.0).is_unbalanced for run in range(300)) <= 3


def test_scenarios_draw_what_they_say() -> None:
    rng = np.random.default_rng(0)
    for one in NO_DIFFERENCE:
        drawn: Drawn = one.draw(rng, 2000, 0)
        assert len(drawn[0]) == len(drawn[1]) > 50
        assert set(np.unique(drawn[1])) <= {0, 1 / 3, 2 / 3, 1}
        assert abs(drawn[0].mean() - one.propensity) < 0.2
