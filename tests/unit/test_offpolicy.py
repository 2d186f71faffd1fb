"""What a policy would have scored, from answers that another one gave by chance."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from router.compare.offpolicy import Estimate, Logged, estimate
from router.trace import Answered


def test_answers_that_were_improbable_count_for_more() -> None:
    logged = [Logged(1.0, 0.25, True), Logged(0.0, 0.5, True), Logged(1.0, 0.75, False)]
    found = estimate(logged, 0)
    assert (found.n, found.matched) == (3, 2)
    assert found.mean is not None
    assert found.mean == pytest.approx(4 / 6)
    assert found.unbiased == pytest.approx(4 / 3)
    assert found.effective == pytest.approx(36 / 20)
    assert (found.lo, found.hi) == (None, None), "three answers say nothing of others"
    many = estimate(logged * 20, 0)
    assert many.mean == pytest.approx(4 / 6)
    assert many.lo is not None
    assert many.hi is not None
    assert 0 <= many.lo < 4 / 6 < many.hi <= 1


def test_of_no_matching_answer_nothing_is_estimated() -> None:
    assert estimate([Logged(1.0, 0.5, False)], 0) == Estimate(n=1, matched=0, effective=0.0)
    assert estimate([], 0) == Estimate(n=0, matched=0, effective=0.0)


def test_the_true_mean_is_in_the_interval_about_as_often_as_is_said() -> None:
    """A policy that sends hard questions away, from a log that did so at random, more often where they were hard."""
    chance = np.random.default_rng(5)
    inside, runs, n = 0, 150, 300
    for run in range(runs):
        hard = chance.random(n) < 0.4
        propensity = np.where(hard, 0.7, 0.3)  # of the cloud
        to_cloud = chance.random(n) < propensity
        right = chance.random(n) < np.where(to_cloud, 0.8, np.where(hard, 0.1, 0.9))
        logged = [
            Logged(float(r), float(p if sent else 1 - p), bool(sent == h))
            for r, p, sent, h in zip(right, propensity, to_cloud, hard, strict=True)
        ]
        found = estimate(logged, run)
        assert found.lo is not None
        assert found.hi is not None
        inside += found.lo <= 0.4 * 0.8 + 0.6 * 0.9 <= found.hi
    assert 0.89 <= inside / runs <= 0.99


@pytest.mark.parametrize("odds", [0.0, -0.5, 1e-320, 1.01, float("nan"), float("inf")])
def test_odds_that_nothing_can_be_divided_by_are_refused_where_they_are_read(odds: float) -> None:
    with pytest.raises(ValidationError, match="propensity\n"):
        Answered.model_validate({"row": {}, "propensity": odds})
