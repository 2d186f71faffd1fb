"""From a score to a gain or a probability: by hand, and on simulated answers whose probabilities are known."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.arbiter.calibration import KINDS, Sigmoid, Slope, Steps, probability, sigmoid, slope, steps
from router.arbiter.metrics import Floats, Ints, brier, ece

COUNT = 3000


def folds(count: int) -> list[Ints]:
    return [np.arange(count)[part::5] for part in range(5)]


def simulated(curve: str, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Scores, the true probabilities, and what came true."""
    chance = np.random.default_rng(seed)
    scores = chance.normal(size=COUNT)
    true = 1 / (1 + np.exp(1 - 1.5 * scores)) if curve == "sigmoid" else np.where(scores < 0.5, 0.1, 0.6)
    return scores, true, (chance.random(COUNT) < true).astype(np.float64)


# --- a gain -----------------------------------------------------------------------------------------------------------


def test_a_slope_is_that_of_least_squares() -> None:
    scores, values = np.array([0.0, 1.0, 2.0, 5.0]), np.array([0.1, 0.2, 0.6, 0.9])
    found = slope(scores, values)
    steep, offset = np.polyfit(scores, values, 1)
    assert found.slope == pytest.approx(steep)
    assert found.of(0.0) == found.mean == pytest.approx(offset)
    assert found.of(4.0) == pytest.approx(offset + 4 * steep)


def test_a_slope_is_flat_where_a_higher_score_means_less_or_all_scores_are_the_same() -> None:
    for scores in (np.array([3.0, 2.0, 1.0]), np.ones(3)):
        found = slope(scores, np.array([0.1, 0.2, 0.6]))
        assert found.of(-7.0) == found.of(7.0) == pytest.approx(0.3)


# --- a probability ----------------------------------------------------------------------------------------------------


def test_a_sigmoid_finds_the_curve_that_answers_were_drawn_from() -> None:
    scores, _, right = simulated("sigmoid")
    found = sigmoid(scores, right)
    assert found.slope == pytest.approx(1.5, abs=0.15)
    assert found.offset == pytest.approx(-1.0, abs=0.15)


def test_a_sigmoid_is_never_sure_even_where_all_is_told_apart() -> None:
    scores = np.linspace(-1, 1, 40)
    for right in ((scores > 0).astype(np.float64), np.ones(40), np.zeros(40)):
        found = sigmoid(scores, right)
        assert all(0 < found.of(score) < 1 for score in scores)
    assert sigmoid(scores, np.ones(40)).of(0.0) == pytest.approx(41 / 42, abs=1e-3)


def test_a_sigmoid_of_any_score_is_a_number() -> None:
    assert Sigmoid(2.0, 0.0).of(0.0) == 0.5
    assert Sigmoid(2.0, -1.0).of(1.0) == pytest.approx(1 / (1 + math.exp(-1)))
    assert Sigmoid(2.0, 0.0).of(1e9) == 1.0
    assert 0 <= Sigmoid(2.0, 0.0).of(-1e9) < 1e-200


def test_steps_pool_what_falls() -> None:
    found = steps(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0]))
    assert found.of(1.0) == found.of(2.0) == found.of(3.5) == pytest.approx(0.5)
    assert found.of(0.5) == pytest.approx((1 / 8 + 1 / 2) / 2)  # straight between its points
    assert found.of(-9.0) == pytest.approx(1 / 8)
    assert found.of(9.0) == pytest.approx(7 / 8)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_steps_never_fall_and_stay_off_0_and_1(pairs: list[tuple[int, bool]]) -> None:
    scores, right = np.array([float(one) for one, _ in pairs]), np.array([float(one) for _, one in pairs])
    found = [steps(scores, right).of(score) for score in np.linspace(-5, 5, 41)]
    assert all(later >= earlier for earlier, later in pairwise(found))
    assert 0 < found[0] <= found[-1] < 1


# --- the better of both -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("curve", "kind"), [("sigmoid", Sigmoid), ("step", Steps)])
def test_the_kind_is_taken_that_fits(curve: str, kind: type) -> None:
    scores, _, right = simulated(curve)
    assert isinstance(probability(scores, right, folds(COUNT))[0], kind)


@pytest.mark.parametrize("curve", ["sigmoid", "step"])
def test_what_is_held_out_is_calibrated(curve: str) -> None:
    scores, true, right = simulated(curve)
    fitted, held_out = probability(scores, right, folds(COUNT))
    assert ece(held_out, right) < 0.03
    assert ece(scores, right) > 0.2
    assert brier(held_out, right) < brier(true, right) + 0.005
    assert np.mean([abs(fitted.of(float(score)) - said) for score, said in zip(scores, true, strict=True)]) < 0.03


def test_what_is_held_out_did_not_see_its_own_fold() -> None:
    scores, _, right = simulated("sigmoid")
    parts = folds(COUNT)
    _, held_out = probability(scores, right, parts)
    others = np.setdiff1d(np.arange(COUNT), parts[2])
    by_hand = sigmoid(scores[others], right[others])
    assert held_out[parts[2]].tolist() == [by_hand.of(float(score)) for score in scores[parts[2]]]


def test_each_kind_has_a_name_for_its_file() -> None:
    assert set(KINDS.values()) == {Slope, Sigmoid, Steps}
