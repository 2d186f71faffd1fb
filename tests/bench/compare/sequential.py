"""The sequential test of experiments, looked at after every single grade: how often it is wrong, and how soon right.

`python -m tests.bench.compare.sequential` prints a table; some two minutes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from router.experiments.assignment import share
from router.experiments.sequential import CONFIDENCE, Contest, Floats

Bools = NDArray[np.bool_]
Drawn = tuple[Bools, Floats]

RUNS = 2000
GRADES = 2000
_POWER = 0.8
_LOOK_FROM = 10  # the test that is not made for peeking is not looked at before


@dataclass(frozen=True, slots=True)
class Scenario:
    """`draw(rng, grades, run)` gives whose turn it was and the grade, of each unit that counts, in order."""

    name: str
    draw: Callable[[np.random.Generator, int, int], Drawn]
    propensity: float = 0.5


def measured(runs: int = RUNS, grades: int = GRADES) -> tuple[dict[str, float], list[Mapping[str, object]]]:
    """The summary, `sequential_false_alarm` (of the worst scenario), and a row for each thing that was tried."""
    alarms = [(one, share_of_alarms(one, runs, grades)) for one in NO_DIFFERENCE]
    rows: list[Mapping[str, object]] = [
        {"what": "false alarms", "scenario": one.name, "runs": runs, "grades": grades, "share": found}
        for one, found in alarms
    ]
    contrasts = {
        "every grade of a unit counts": share_of_alarms(Scenario("", _all_of_the_talkative), runs, grades),
        "a fixed-size test, looked at after every grade": _alarms_of_peeking(runs, grades),
    }
    rows += [
        {"what": "false alarms of what we do not do", "scenario": name, "runs": runs, "grades": grades, "share": found}
        for name, found in contrasts.items()
    ]
    rows += [power(difference, propensity, runs // 4) for difference in (0.1, 0.2) for propensity in (0.5, 0.1)]
    return {"sequential_false_alarm": max(found for _, found in alarms)}, rows


def share_of_alarms(scenario: Scenario, runs: int, grades: int) -> float:
    """The share of runs in which no difference was excluded at any time."""
    rng = np.random.default_rng(0)
    alarms = 0
    for run in range(runs):
        contest = Contest(scenario.propensity)
        contest.add(*scenario.draw(rng, grades, run))
        alarms += contest.decided_after is not None
    return alarms / runs


def power(difference: float, propensity: float, runs: int) -> Mapping[str, object]:
    """Grades after which half and four fifths of the runs find a difference from 0.6, and what a fixed size needs."""
    rng = np.random.default_rng(1)
    fixed = fixed_size(0.6, 0.6 + difference, propensity)
    found = []
    for _ in range(runs):
        is_arm = rng.random(6 * fixed) < propensity
        contest = Contest(propensity)
        contest.add(is_arm, (rng.random(len(is_arm)) < np.where(is_arm, 0.6 + difference, 0.6)).astype(np.float64))
        found.append(math.inf if contest.decided_after is None else contest.decided_after)
    half, most = np.quantile(found, [0.5, _POWER], method="higher")
    return {
        "what": "power",
        "scenario": f"0.6 against {0.6 + difference:g}, {propensity:g} of the units in the arm",
        "runs": runs,
        "grades_50": float(half),
        "grades_80": float(most),
        "fixed_size_80": fixed,
    }


def fixed_size(control: float, arm: float, propensity: float) -> int:
    """Grades that a two-sided z-test of two rates needs for 80 % power, looked at once."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) + NormalDist().inv_cdf(_POWER)
    variance = arm * (1 - arm) / propensity + control * (1 - control) / (1 - propensity)
    return math.ceil(variance * (z / (arm - control)) ** 2)


# --- units without a difference ---------------------------------------------------------------------------------------


def _lots(rng: np.random.Generator, grades: int, propensity: float = 0.5) -> Bools:
    return rng.random(grades) < propensity


def _rate(rate: float, propensity: float = 0.5) -> Scenario:
    def draw(rng: np.random.Generator, grades: int, _: int) -> Drawn:
        return _lots(rng, grades, propensity), (rng.random(grades) < rate).astype(np.float64)

    of_the_arm = "" if propensity == 0.5 else f", {propensity:g} of the units in the arm"
    return Scenario(f"right or wrong, {rate:g} right{of_the_arm}", draw, propensity)


def _thirds(rng: np.random.Generator, grades: int, _: int) -> Drawn:
    return _lots(rng, grades), rng.choice([0, 1 / 3, 2 / 3, 1], grades, p=[0.1, 0.2, 0.3, 0.4])


def _drifting(rng: np.random.Generator, grades: int, _: int) -> Drawn:
    return _lots(rng, grades), (rng.random(grades) < np.linspace(0.1, 0.9, grades)).astype(np.float64)


def _jumping(rng: np.random.Generator, grades: int, _: int) -> Drawn:
    rates = np.where(np.arange(grades) // 100 % 2, 0.95, 0.2)
    return _lots(rng, grades), (rng.random(grades) < rates).astype(np.float64)


def _each_to_his_own(rng: np.random.Generator, grades: int, _: int) -> Drawn:
    """Half of the units are much better off with the arm, half much worse: no difference on the whole."""
    is_arm, likes = _lots(rng, grades), rng.random(grades) < 0.5
    return is_arm, (rng.random(grades) < np.where(is_arm == likes, 0.9, 0.3)).astype(np.float64)


def _spiteful(rng: np.random.Generator, grades: int, _: int) -> Drawn:
    """Who grades knows how the test stands: all answers are good while the arm leads, and bad while it trails."""
    is_arm, lots = _lots(rng, grades), rng.random(grades)
    graded, lead = np.zeros(grades), 0.0
    for place in range(grades):
        graded[place] = lots[place] < (0.9 if lead > 0 else 0.2)
        lead += (graded[place] - 0.5) * (1 if is_arm[place] else -1)
    return is_arm, graded


def _talkative(rng: np.random.Generator, grades: int, run: int) -> tuple[NDArray[np.int64], Drawn]:
    """Users of whom few ask most of the questions, each hard or easy to please, with the product's own lots."""
    users = np.minimum(rng.zipf(1.5, grades), 300)
    of_user = np.array([share(f"run-{run}", f"user\x1f{user}") < 0.5 for user in range(301)])
    pleased = rng.beta(0.5, 0.5, 301)
    return users, (of_user[users], (rng.random(grades) < pleased[users]).astype(np.float64))


def _first_of_the_talkative(rng: np.random.Generator, grades: int, run: int) -> Drawn:
    users, (is_arm, graded) = _talkative(rng, grades, run)
    _, first = np.unique(users, return_index=True)
    return is_arm[np.sort(first)], graded[np.sort(first)]


def _all_of_the_talkative(rng: np.random.Generator, grades: int, run: int) -> Drawn:
    return _talkative(rng, grades, run)[1]


NO_DIFFERENCE: Sequence[Scenario] = (
    _rate(0.5),
    _rate(0.05),
    _rate(0.95),
    _rate(0.7, 0.1),
    _rate(0.3, 0.9),
    Scenario("graded in thirds", _thirds),
    Scenario("all rates drift from 0.1 to 0.9", _drifting),
    Scenario("all rates jump every 100 grades", _jumping),
    Scenario("each unit likes one arm, as many this as that", _each_to_his_own),
    Scenario("grades depend on how the test stands", _spiteful),
    Scenario("few users ask most of the questions", _first_of_the_talkative),
)


def _alarms_of_peeking(runs: int, grades: int) -> float:
    """Of the z-test that is meant to be looked at once."""
    rng = np.random.default_rng(0)
    limit = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    alarms = 0
    for run in range(runs):
        is_arm, graded = NO_DIFFERENCE[0].draw(rng, grades, run)
        counts = np.array([np.cumsum(is_arm), np.cumsum(~is_arm)], np.float64)[:, _LOOK_FROM:]
        sums = np.array([np.cumsum(graded * is_arm), np.cumsum(graded * ~is_arm)])[:, _LOOK_FROM:]
        means = sums / np.maximum(counts, 1)
        pooled = sums.sum(axis=0) / counts.sum(axis=0)
        error = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(counts, 1)).sum(axis=0))
        alarms += bool((np.abs(means[0] - means[1]) > limit * np.maximum(error, 1e-9)).any())
    return alarms / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--grades", type=int, default=GRADES)
    given = parser.parse_args()
    summary, rows = measured(given.runs, given.grades)
    for row in rows:
        print("  ".join(f"{name}={value}" for name, value in row.items()))
    print(summary)


if __name__ == "__main__":
    main()
