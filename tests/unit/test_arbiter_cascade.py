"""Before and after together: what is expected once a draft is seen, and what a draft is worth."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from edgewise.errors import InvalidInput
from router.arbiter.cascade import SUPPOSED, Both, fit_both
from router.arbiter.metrics import Floats

BY_HAND = Both(0.2, 0.5, -0.4, (-0.3, 0.0, 0.3))


def simulated(count: int = 3000, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """The cloud is right nine times in ten, the edge as often as its trust says; the gain knows half of that."""
    chance = np.random.default_rng(seed)
    trust = chance.random(count)
    gains = 0.9 - 0.5 * trust - 0.25 + chance.normal(0, 0.1, count)
    came_true = (chance.random(count) < 0.9).astype(np.float64) - (chance.random(count) < trust)
    return gains, trust, came_true


def test_after_a_draft_by_hand() -> None:
    assert BY_HAND.after(0.4, 0.5) == pytest.approx(0.2 + 0.2 - 0.2)
    assert BY_HAND.after(-0.4, 1.0) == pytest.approx(0.2 - 0.2 - 0.4)


def test_an_answer_of_which_nothing_is_known_is_taken_for_wrong() -> None:
    assert BY_HAND.after(0.4, None) == BY_HAND.after(0.4, 0.0) == pytest.approx(0.4)


def test_the_worth_of_a_draft_by_hand() -> None:
    # After the draft the gain is 0.2, 0.5 or 0.8; below 0.6 the edge keeps it, and saves 0.4, 0.1 or nothing.
    assert BY_HAND.worth(0.5, 0.6) == pytest.approx((0.4 + 0.1) / 3)
    assert BY_HAND.worth(5.0, 0.6) == 0.0
    assert BY_HAND.worth(0.5, -math.inf) == 0.0
    assert BY_HAND.worth(-0.5, 0.6) == pytest.approx(1.1)


def test_the_surer_the_gain_the_less_a_draft_is_worth() -> None:
    worth = [SUPPOSED.worth(gain, 0.5) for gain in np.linspace(-1, 1.2, 12)]
    assert worth == sorted(worth, reverse=True)
    assert worth[0] > worth[-1] == 0.0


def test_what_is_supposed_trusts_the_draft_alone() -> None:
    for gain in (-1.0, 0.0, 1.0):
        assert [SUPPOSED.after(gain, trust) for trust in (0.0, 0.25, 1.0)] == [1.0, 0.75, 0.0]
    assert np.mean(SUPPOSED.changes) == pytest.approx(0.0)
    assert (SUPPOSED.changes[0], SUPPOSED.changes[-1]) == pytest.approx((-0.6, 0.6))


def test_that_trust_matters_is_learned() -> None:
    gains, trust, came_true = simulated()
    both = fit_both(gains, trust, came_true)
    assert both.of_trust == pytest.approx(-1.0, abs=0.15)
    assert both.of_gain == pytest.approx(0.0, abs=0.3)
    assert both.base == pytest.approx(0.9, abs=0.25)
    unseen = simulated(seed=1)
    after = np.array([both.after(gain, sure) for gain, sure in zip(unseen[0], unseen[1], strict=True)])
    assert np.mean((after - unseen[2]) ** 2) < np.mean((unseen[0] - unseen[2]) ** 2)


def test_trust_that_says_nothing_counts_for_nothing() -> None:
    chance = np.random.default_rng(2)
    gains = chance.uniform(-0.5, 1.0, 3000)
    both = fit_both(gains, chance.random(3000), gains + chance.normal(0, 0.3, 3000))
    assert both.of_gain == pytest.approx(1.0, abs=0.05)
    assert both.of_trust == pytest.approx(0.0, abs=0.05)
    assert max(map(abs, both.changes)) < 0.05


def test_the_changes_are_those_of_the_graded_questions() -> None:
    gains, trust, came_true = simulated()
    both = fit_both(gains, trust, came_true)
    changes = np.array([both.after(gain, sure) for gain, sure in zip(gains, trust, strict=True)]) - gains
    assert list(both.changes) == sorted(both.changes)
    assert both.changes[len(both.changes) // 2] == pytest.approx(np.median(changes))
    by_hand = np.maximum(0.0, 0.5 - 0.4 - changes).mean()
    assert both.worth(0.4, 0.5) == pytest.approx(by_hand, abs=0.005)


def test_what_is_saved_is_the_same(tmp_path: Path) -> None:
    both = fit_both(*simulated())
    both.save(tmp_path / "both.json")
    assert Both.load(tmp_path / "both.json") == both


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"3", b"{", b"\xff", b'"base"', b"null", json.dumps({"base": 1.0}).encode(),
        b'{"base": 1, "of_gain": 0, "of_trust": "x", "changes": [0]}',
        b'{"base": 1, "of_gain": 0, "of_trust": null, "changes": [0]}',
        b'{"base": 1, "of_gain": 0, "of_trust": 0, "changes": 0}',
        b'{"base": 1, "of_gain": 0, "of_trust": 0, "changes": [[]]}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "both.json"
    path.write_bytes(text)
    with pytest.raises(InvalidInput, match=r"both\.json is damaged; train it again: edgewise train post"):
        Both.load(path)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is damaged"):
        Both.load(tmp_path)
