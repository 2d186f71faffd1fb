from __future__ import annotations

import math

import numpy as np
import pytest

from router.compare import statistics


def test_the_interval_of_a_constant_is_that_constant() -> None:
    assert statistics.interval([0.5] * 20, seed=1) == (0.5, 0.5, 0.5)


def test_the_interval_is_near_the_normal_one_for_many_values() -> None:
    values = np.random.default_rng(5).normal(3.0, 2.0, size=400)
    mean, lo, hi = statistics.interval(values, seed=1)
    half = 1.96 * values.std() / math.sqrt(400)
    assert mean == pytest.approx(values.mean())
    assert lo == pytest.approx(mean - half, abs=0.02)
    assert hi == pytest.approx(mean + half, abs=0.02)


def test_one_seed_gives_one_result_however_the_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0, 2.0]
    whole = statistics.interval(values, seed=3)
    assert statistics.interval(values, seed=3) == whole
    monkeypatch.setattr(statistics, "_BLOCK", 6000)
    assert statistics.interval(values, seed=3) == whole


def test_mcnemar_by_hand() -> None:
    # 1 question only a has right, 5 only b: P(X <= 1 or X >= 5), X ~ B(6, 1/2) = 2 (1 + 6) / 64
    a = [1, 0, 0, 0, 0, 0, 1, 1, 0]
    b = [0, 1, 1, 1, 1, 1, 1, 1, 0]
    assert statistics.mcnemar(a, b) == pytest.approx(14 / 64)
    assert statistics.mcnemar(b, a) == pytest.approx(14 / 64)


def test_mcnemar_without_any_difference_is_one() -> None:
    assert statistics.mcnemar([1, 0, 1], [1, 0, 1]) == 1
    assert statistics.mcnemar([1, 0], [0, 1]) == 1


def test_mcnemar_of_many_questions_is_finite() -> None:
    assert 0 <= statistics.mcnemar([1] * 3000 + [0] * 2500, [0] * 3000 + [1] * 2500) < 1e-6


def test_holm_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_the_bootstrap_p_is_small_for_a_clear_difference_and_never_zero() -> None:
    assert statistics.bootstrap_p([1.0] * 10, seed=0) == pytest.approx(2 / 10_001)
    assert statistics.bootstrap_p([-1.0, 1.0] * 20, seed=0) > 0.8
    assert statistics.bootstrap_p([0.0] * 10, seed=0) == 1


def test_n_needed_by_hand() -> None:
    # sd 1, mean 0.5: ((1.95996 + 0.84162) / 0.5)^2 = 31.4
    differences = [0.5 - math.sqrt(0.5), 0.5 + math.sqrt(0.5)]
    assert np.std(differences, ddof=1) == pytest.approx(1.0)
    assert statistics.n_needed(differences) == 32
    assert statistics.n_needed([0.0, 0.0]) is None
    assert statistics.n_needed([0.3]) is None


def test_quantiles_interpolate() -> None:
    assert statistics.quantiles([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.9))
