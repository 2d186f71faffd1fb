from __future__ import annotations

import math
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import InvalidInput
from router.compare import statistics
from router.compare.statistics import Tally
from tests.bench.compare.coverage import coverage

SOME = st.lists(st.floats(0, 1), min_size=2, max_size=40)


def test_the_interval_is_near_the_normal_one_for_many_values() -> None:
    values = np.random.default_rng(5).normal(3.0, 2.0, size=400)
    mean, lo, hi = statistics.interval(values, seed=1)
    half = 1.966 * values.std(ddof=1) / math.sqrt(400)
    assert mean == pytest.approx(values.mean())
    assert lo == pytest.approx(mean - half, abs=0.02)
    assert hi == pytest.approx(mean + half, abs=0.02)


def test_the_interval_of_a_constant_is_that_constant_and_of_one_value_unknown() -> None:
    assert statistics.interval([0.1] * 20, seed=1) == pytest.approx((0.1, 0.1, 0.1))
    assert statistics.interval([0.1], seed=1) == (0.1, -math.inf, math.inf)


@settings(max_examples=30, deadline=None)
@given(SOME)
def test_intervals_hold_their_mean_and_stay_within_bounds(values: list[float]) -> None:
    mean, lo, hi = statistics.interval(values, seed=0)
    assert lo <= mean <= hi
    share, low, high = statistics.share_interval(values)
    assert share == pytest.approx(mean)
    assert 0 <= low <= share <= high <= 1
    median, lower, upper = statistics.quantile(values, 0.5)
    assert lower <= median <= upper


def test_one_seed_gives_one_result_and_another_nearly_the_same() -> None:
    values = np.random.default_rng(2).gamma(3.0, size=60)
    assert statistics.interval(values, seed=3) == statistics.interval(values, seed=3)
    other = statistics.interval(values, seed=4)
    assert other != statistics.interval(values, seed=3)
    assert other == pytest.approx(statistics.interval(values, seed=3), rel=0.02)


def test_a_column_is_resampled_alike_whatever_stands_beside_it() -> None:
    rng = np.random.default_rng(7)
    gaps = rng.normal(size=50)
    gaps[rng.random(50) < 0.3] = math.nan
    alone = statistics.means({"gaps": gaps}, seed=1)["gaps"]
    beside = statistics.means({"whole": rng.normal(size=50), "gaps": gaps, "minus": -gaps}, seed=1)
    assert asdict(beside["gaps"]) == pytest.approx(asdict(alone))
    assert alone.n == int((~np.isnan(gaps)).sum())
    minus = beside["minus"]
    assert (minus.mean, minus.lo, minus.hi, minus.p) == pytest.approx((-alone.mean, -alone.hi, -alone.lo, alone.p))


def test_the_interval_excludes_zero_exactly_where_p_is_below_five_percent() -> None:
    sample = np.random.default_rng(1).normal(0.35, 1.0, size=(30, 300))
    found = statistics.means({at: sample[:, at] for at in range(300)}, seed=0, resamples=2000)
    agreeing = [(each.lo > 0 or each.hi < 0) == (each.p < statistics.ALPHA) for each in found.values()]
    assert all(agreeing)
    assert 0.2 < sum(each.p < statistics.ALPHA for each in found.values()) / 300 < 0.8


def test_no_p_is_zero_and_none_says_more_than_its_questions_can() -> None:
    means = statistics.means({"clear": np.linspace(1, 1.1, 40), "none": np.tile([-1.0, 1.0], 20)}, seed=0)
    assert means["clear"].p == pytest.approx(1 / 10_001)
    assert means["none"].p == 1
    assert statistics.means({"few": np.full(3, 1.0)}, seed=0)["few"].p == 2.0**-2
    assert statistics.means({"zero": np.zeros(10)}, seed=0)["zero"].p == 1


def test_two_questions_that_differ_the_same_way_are_not_significant() -> None:
    sparse = np.zeros(25)
    sparse[:2] = 0.5
    found = statistics.means({0: sparse}, seed=0)[0]
    assert found.p > 0.1
    assert found.lo < 0 < found.hi


@pytest.mark.parametrize("values", [[math.nan, math.nan], [1.0, math.inf]])
def test_what_is_no_number_is_refused(values: list[float]) -> None:
    with pytest.raises(InvalidInput, match="leave others out"):
        statistics.interval(values, seed=0)
    with pytest.raises(InvalidInput, match="leave others out"):
        statistics.quantile(values, 0.5)
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        statistics.share_interval(values)


def test_wilson_by_hand() -> None:
    # Newcombe (1998), method 3: 81 of 263 is 0.2553 to 0.3662, 0 of 20 is 0 to 0.1611
    assert statistics.share_interval([1.0] * 81 + [0.0] * 182) == pytest.approx((81 / 263, 0.2553, 0.3662), abs=1e-4)
    assert statistics.share_interval([0.0] * 20) == pytest.approx((0.0, 0.0, 0.1611), abs=1e-4)
    assert statistics.share_interval([1.0] * 20) == pytest.approx((1.0, 0.8389, 1.0), abs=1e-4)


def test_partial_scores_have_narrower_intervals_than_right_and_wrong() -> None:
    _, low, high = statistics.share_interval([0.4, 0.6] * 20)
    _, wide_low, wide_high = statistics.share_interval([0.0, 1.0] * 20)
    assert high - low < 0.3 * (wide_high - wide_low)


def test_tango_by_its_definition() -> None:
    """At both ends the score test of that difference is exactly at its critical value."""
    found = statistics.share_differences({0: Tally(9, 3, 60)})[0]
    assert found.mean == pytest.approx(0.1)
    for end, sign in ((found.lo, 1), (found.hi, -1)):
        linear, constant = (2 * 60 - 9 + 3) * end - 12, -3 * end * (1 - end)
        least = (math.sqrt(linear**2 - 8 * 60 * constant) - linear) / (4 * 60)
        score = (9 - 3 - 60 * end) / math.sqrt(60 * (2 * least + end * (1 - end)))
        assert score == pytest.approx(sign * 1.959964, abs=1e-4)


def test_turning_a_pair_around_flips_its_signs() -> None:
    found = statistics.share_differences({"ab": Tally(9, 3, 60), "ba": Tally(3, 9, 60)})
    assert (found["ba"].mean, found["ba"].lo, found["ba"].hi) == pytest.approx(
        (-found["ab"].mean, -found["ab"].hi, -found["ab"].lo)
    )
    assert found["ba"].p == found["ab"].p


def test_where_the_exact_test_decides_the_interval_agrees() -> None:
    tallies = {(a, b): Tally(a, b, 60) for a in range(40) for b in range(min(a, 60 - a) + 1)}
    for found in statistics.share_differences(tallies).values():
        if found.p < statistics.ALPHA:
            assert found.lo > 0


def test_extremes_of_pairs_stay_within_bounds() -> None:
    tallies = dict(enumerate((Tally(0, 0, 1), Tally(1, 0, 1), Tally(0, 20, 20), Tally(0, 0, 20))))
    found = statistics.share_differences(tallies)
    assert all(-1 <= each.lo <= each.mean <= each.hi <= 1 for each in found.values())
    assert found[3].lo < 0 < found[3].hi
    assert found[1].p == 1


def test_mcnemar_by_hand() -> None:
    # 1 question only a has right, 5 only b: P(X <= 1 or X >= 5), X ~ B(6, 1/2) = 2 (1 + 6) / 64
    a = [1, 0, 0, 0, 0, 0, 1, 1, 0]
    b = [0, 1, 1, 1, 1, 1, 1, 1, 0]
    assert statistics.mcnemar(a, b) == pytest.approx(14 / 64)
    assert statistics.mcnemar(b, a) == pytest.approx(14 / 64)
    assert statistics.mcnemar([1, 0, 1], [1, 0, 1]) == statistics.mcnemar([1, 0], [0, 1]) == 1


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 5), (7, 12), (300, 250), (1, 60)])
def test_mcnemar_is_the_exact_sum(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    tail = sum(Fraction(math.comb(n, k), 2**n) for k in range(min(only_a, only_b) + 1))
    a, b = [1] * only_a + [0] * only_b, [0] * only_a + [1] * only_b
    assert statistics.mcnemar(a, b) == pytest.approx(float(min(1, 2 * tail)), rel=1e-9)


def test_holm_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_effects_by_hand() -> None:
    assert statistics.cohens_g(Tally(8, 2, 50)) == pytest.approx(0.3)
    assert statistics.cohens_g(Tally(0, 0, 50)) is None
    assert statistics.cohens_d([1.0, 2.0, 3.0]) == pytest.approx(2.0)
    assert statistics.cohens_d([0.1] * 9) is statistics.cohens_d([0.1]) is None


def test_n_needed_by_hand() -> None:
    # sd 1, mean 0.5: ((1.95996 + 0.84162) / 0.5)^2 = 31.4, and 1.95996^2 / 2 = 1.92 more
    differences = [0.5 - math.sqrt(0.5), 0.5 + math.sqrt(0.5)]
    assert np.std(differences, ddof=1) == pytest.approx(1.0)
    assert statistics.n_needed(differences) == 34
    assert statistics.n_needed([0.0, 0.0]) is statistics.n_needed([0.3]) is None
    # Connor: ((1.95996 sqrt(0.3) + 0.84162 sqrt(0.3 - 0.01)) / 0.1)^2 = 233.2, and 1 / 0.1 more
    assert statistics.n_needed_of_shares(Tally(20, 10, 100)) == 244
    assert statistics.n_needed_of_shares(Tally(10, 10, 100)) is None


@pytest.mark.parametrize(("only_a", "only_b"), [(0.2, 0.1), (0.15, 0.05), (0.3, 0.1), (0.1, 0.02), (0.5, 0.1)])
def test_as_many_as_needed_give_eighty_percent_power_to_mcnemar(only_a: float, only_b: float) -> None:
    n = statistics.n_needed_of_shares(Tally(round(1000 * only_a), round(1000 * only_b), 1000))
    assert n is not None
    drawn = np.random.default_rng(3).multinomial(n, [only_a, only_b, 1 - only_a - only_b], size=4000)
    decided = [statistics.mcnemar([1] * a + [0] * b, [0] * a + [1] * b) < 0.05 for a, b, _ in drawn]
    assert 0.76 < np.mean(decided) < 0.86


def test_as_many_as_needed_give_eighty_percent_power_to_the_bootstrap() -> None:
    model = np.random.default_rng(3)
    n = statistics.n_needed(model.normal(0.4, 1.0, size=200_000))
    assert n is not None
    sample = model.normal(0.4, 1.0, size=(n, 1500))
    found = statistics.means({at: sample[:, at] for at in range(1500)}, seed=1, resamples=2000)
    assert 0.76 < np.mean([each.p < 0.05 for each in found.values()]) < 0.84


def test_quantiles_and_their_order_statistics_by_hand() -> None:
    values = [float(value) for value in range(1, 101)]
    value, lo, hi = statistics.quantile(values, 0.5)
    assert value == 50.5
    # between ranks 40 and 61, which cover 96.5 %, and 41 and 60, which cover 94.3 %
    assert 40 < lo < 41
    assert 60 < hi < 61
    assert statistics.quantile([1.0, 2.0, 3.0], 0.95)[0] == pytest.approx(2.9)


def test_an_end_that_no_value_can_be_is_infinite() -> None:
    assert statistics.quantile(list(range(71)), 0.95)[2] == math.inf
    assert statistics.quantile(list(range(72)), 0.95)[2] < math.inf
    assert statistics.quantile([3.0], 0.5) == (3.0, -math.inf, math.inf)


def test_the_errors_of_a_ratio_leave_nothing_over() -> None:
    left, right = np.array([1.0, 2.0, math.nan, 3.0]), np.array([2.0, 2.0, 5.0, 4.0])
    errors = statistics.ratio_errors(left, right)
    assert np.nansum(errors) == pytest.approx(0.0)
    assert np.isnan(errors[2])
    assert errors[0] == pytest.approx((1.0 - 6 / 8 * 2.0) / (8 / 3))


def test_the_intervals_cover_at_their_nominal_rate() -> None:
    rows = coverage()
    assert len(rows) == 29
    assert {str(row["case"]): row["coverage"] for row in rows if not 0.93 <= float(str(row["coverage"])) <= 0.97} == {}
