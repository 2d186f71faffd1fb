"""The trained router as a whole: what it predicts, and what is refused instead of being loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgewise.errors import InvalidInput, NotFound
from router.arbiter.ensemble import EXPERTS, Ensemble
from router.arbiter.labels import Labels
from router.arbiter.metrics import Floats, Outcomes, apgr
from router.arbiter.training import fit_ensemble

COUNT = 500
WIDTH = 8


def graded(seed: int) -> tuple[Labels, Floats]:
    """The cloud is better at sums, and knows no more of birds."""
    chance = np.random.default_rng(seed)
    is_sum = chance.random(COUNT) < 0.5
    prompts = tuple(
        f"What is {n} + {n * 7}?" if one else f"Which bird, of the kind {n}, sings at night?"
        for n, one in enumerate(is_sum)
    )
    weak = (chance.random(COUNT) < np.where(is_sum, 0.2, 0.7)).astype(np.float64)
    strong = (chance.random(COUNT) < np.where(is_sum, 0.9, 0.7)).astype(np.float64)
    vectors = chance.normal(size=(COUNT, WIDTH)) + 2 * is_sum[:, None]
    return Labels(prompts, Outcomes(weak, strong), digest="labels"), vectors / np.linalg.norm(
        vectors, axis=1, keepdims=True
    )


@pytest.fixture(scope="module")
def trained() -> Ensemble:
    labels, vectors = graded(1)
    return fit_ensemble(labels, vectors, "embedder")


def test_it_predicts_the_gain_of_questions_that_it_has_not_seen(trained: Ensemble) -> None:
    labels, vectors = graded(2)
    gains = np.array([trained.of(prompt, vector).gain for prompt, vector in zip(labels.prompts, vectors, strict=True)])
    assert apgr(gains, labels.outcomes) > 0.7
    is_sum = np.array(["+" in prompt for prompt in labels.prompts])
    assert gains[is_sum].mean() == pytest.approx(0.7, abs=0.15)
    assert gains[~is_sum].mean() == pytest.approx(0.0, abs=0.15)
    assert (trained.embedder, trained.learned_from, trained.questions) == ("embedder", "labels", COUNT)


def test_a_prediction_is_the_sum_of_its_parts(trained: Ensemble) -> None:
    labels, vectors = graded(2)
    found = trained.of(labels.prompts[0], vectors[0])
    assert tuple(found.parts) == EXPERTS
    assert found.gain == pytest.approx(trained.mean + sum(found.parts.values()))
    assert trained.with_meaning(trained.without_meaning(labels.prompts[0]), vectors[0]) == found


def test_what_is_saved_predicts_the_same(trained: Ensemble, tmp_path: Path) -> None:
    path = tmp_path / "pre.npz"
    trained.save(path)
    loaded = Ensemble.load(path, "embedder")
    labels, vectors = graded(2)
    for prompt, vector in zip(labels.prompts[:50], vectors, strict=False):
        assert loaded.of(prompt, vector).gain == pytest.approx(trained.of(prompt, vector).gain, abs=1e-6)
    assert (loaded.embedder, loaded.learned_from, loaded.questions) == ("embedder", "labels", COUNT)
    assert path.stat().st_size < 1_000_000


def test_what_cannot_be_used_is_refused(trained: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pre.npz"
    trained.save(path)
    with pytest.raises(InvalidInput, match="trained with another embedder"):
        Ensemble.load(path, "other")
    with pytest.raises(NotFound, match="no trained router"):
        Ensemble.load(tmp_path / "none.npz", "embedder")
    whole = path.read_bytes()
    for place, content in enumerate((b"", b"text", whole[: len(whole) // 2], whole[:-200], b"\x93NUMPY" + whole)):
        broken = tmp_path / f"{place}.npz"
        broken.write_bytes(content)
        with pytest.raises(InvalidInput, match="no trained router, or is damaged"):
            Ensemble.load(broken, "embedder")
    np.savez(tmp_path / "objects.npz", about=np.array({"format": 1}, dtype=object))
    with pytest.raises(InvalidInput, match="no trained router"):
        Ensemble.load(tmp_path / "objects.npz", "embedder")
    monkeypatch.setattr("router.arbiter.ensemble._FORMAT", 2)
    with pytest.raises(InvalidInput, match="trained by another version"):
        Ensemble.load(path, "embedder")


def test_nothing_is_learned_from_too_little() -> None:
    labels, vectors = graded(1)
    with pytest.raises(InvalidInput, match="too few"):
        fit_ensemble(labels.take(np.arange(10)), vectors[:10], "embedder")
    same = replace(labels, outcomes=Outcomes(np.zeros(COUNT), np.ones(COUNT)))
    with pytest.raises(InvalidInput, match="nothing to learn"):
        fit_ensemble(same, vectors, "embedder")


def test_where_nothing_can_be_told_the_mean_is_predicted() -> None:
    labels, vectors = graded(1)
    chance = np.random.default_rng(9)
    weak, strong = ((chance.random(COUNT) < right).astype(np.float64) for right in (0.5, 0.8))
    noise = replace(labels, outcomes=Outcomes(weak, strong))
    trained = fit_ensemble(noise, vectors, "embedder")
    gains = [trained.of(prompt, vector).gain for prompt, vector in zip(labels.prompts, vectors, strict=True)]
    assert np.mean(gains) == pytest.approx(trained.mean, abs=0.05)
    assert np.std(gains) < 0.1
