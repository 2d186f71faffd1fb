"""What people write and what disks do: texts that are hard to look at, files that were damaged."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from edgewise.errors import InvalidInput
from router.arbiter import arbiter
from router.arbiter.answers import Answer, groups_of, seen
from router.arbiter.arbiter import Models
from router.arbiter.cascade import SUPPOSED, Both
from router.arbiter.ensemble import Ensemble
from router.arbiter.features import NAMES, surface
from router.arbiter.labels import Labels
from router.arbiter.metrics import Floats, Outcomes
from router.arbiter.training import fit_gain

LONG = 100_000
AWKWARD = (
    "(" * LONG, "9" * LONG, "1+" * LONG, "(A) x, " * LONG, "A) " * LONG, "\n" * LONG, " " * LONG, "<<" * LONG,
    "#### " * LONG, "#### " + "9" * 400, "1/0 = 2", "-" * LONG, "$,.%" * LONG,
    " " * LONG + "x", " " * 19_000 + "x", "Option 1: " * LONG, "\u202e\u0000", "\U0001f600" * LONG,
)  # fmt: skip


@pytest.mark.parametrize("text", AWKWARD, ids=lambda text: repr(text[:8]))
def test_any_text_can_be_looked_at(text: str) -> None:
    assert all(map(math.isfinite, surface(text)))
    answer = Answer(text, text, facts=(text[:20_000],), samples=(text[:2000],))
    values = seen(answer, groups_of([answer]))
    assert values is not None
    assert all(map(math.isfinite, values))


def world(count: int, seed: int) -> tuple[Labels, Floats]:
    chance = np.random.default_rng(seed)
    is_sum = chance.random(count) < 0.5
    prompts = tuple(f"What is {n} + {n}?" if one else f"Which bird sings at {n}?" for n, one in enumerate(is_sum))
    weak = (chance.random(count) < np.where(is_sum, 0.2, 0.8)).astype(np.float64)
    vectors = chance.normal(size=(count, 8)) + 2 * is_sum[:, None]
    return Labels(prompts, Outcomes(weak, np.ones(count))), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("count", [120, 500])
def test_questions_like_those_that_were_learned_from_are_familiar(count: int) -> None:
    trained = fit_gain(*world(count, 1), "embedder")
    labels, vectors = world(300, 2)
    asked = zip(labels.prompts, vectors, strict=True)
    familiar = [trained.of(prompt, np.array(surface(prompt)), vector).familiar for prompt, vector in asked]
    assert np.mean(familiar) > 0.93
    far = trained.of(labels.prompts[0], np.array(surface(labels.prompts[0])), -vectors.mean(axis=0))
    assert not far.familiar


def test_a_file_with_any_bit_flipped_is_refused_or_read(tmp_path: Path) -> None:
    """Nothing else than InvalidInput ever comes out."""
    whole = (Path(arbiter.__file__).parent / "shipped" / arbiter.TRUST).read_bytes()
    chance, refused = np.random.default_rng(0), 0
    path = tmp_path / "trust.npz"
    anywhere, at_the_end = chance.integers(0, len(whole), 20), chance.integers(len(whole) - 3000, len(whole), 60)
    for place in map(int, (*anywhere, *at_the_end)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            Ensemble.load(path, "trust")
        except InvalidInput:
            refused += 1
    assert refused > 40


def test_what_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root, whom tests may run as, may read everything
    with pytest.raises(InvalidInput, match="may not be read by this user"):
        Ensemble.load(tmp_path / "trust.npz", "trust")


def test_features_that_this_version_does_not_know_are_refused(tmp_path: Path) -> None:
    shipped = Path(arbiter.__file__).parent / "shipped" / arbiter.TRUST
    with np.load(shipped) as kept:
        arrays = {name: kept[name] for name in kept.files}
    about = json.loads(str(arrays["about"])) | {"groups": ["form", "novel"]}
    with (tmp_path / arbiter.TRUST).open("wb") as file:
        np.savez(file, **{**arrays, "about": np.array(json.dumps(about))})
    with pytest.raises(InvalidInput, match="another version"):
        Models.open(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"changes": []},
        {"changes": [math.nan]},
        {"base": math.inf},
        {"base": 10**400},
        {"of_gain": None},
        {"changes": 1},
    ],
)
def test_a_damaged_file_of_both_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    path = tmp_path / "both.json"
    SUPPOSED.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(InvalidInput, match="edgewise train post"):
        Both.load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(InvalidInput, match="damaged"):
        Both.load(path)


def test_there_is_a_name_for_all_that_is_seen() -> None:
    assert len(NAMES) == len(set(NAMES)) == len(surface("why?"))
