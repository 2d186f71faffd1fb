"""The experts of the gain: what is served says what was fitted, and each learns what it is there for."""

from __future__ import annotations

import numpy as np
import pytest

from router.arbiter.experts import BUCKETS, Meaning, Words, terms
from router.arbiter.features import NAMES
from router.arbiter.metrics import Floats, Outcomes, apgr
from router.arbiter.training import (
    Questions,
    fit_meaning,
    fit_surface,
    fit_trees,
    fit_words,
    looked_at,
    weighed,
)

COUNT = 600
TOPICS = ("integral of a function", "colour of a heron", "price of a ferry ticket", "author of a sonnet")


@pytest.fixture(scope="module")
def world() -> tuple[tuple[str, ...], Questions, Floats]:
    """The cloud gains where it is about integrals, and where a question is long and has numbers."""
    chance = np.random.default_rng(5)
    topic = chance.integers(0, len(TOPICS), COUNT)
    is_long, has_numbers = chance.random(COUNT) < 0.5, chance.random(COUNT) < 0.5
    prompts = tuple(
        f"What is the {TOPICS[t]}{' in all of its many ways for ever' if n else ''}{' from 12 to 47' if m else ''}?"
        for t, n, m in zip(topic, is_long, has_numbers, strict=True)
    )
    vectors = np.eye(len(TOPICS))[topic] + chance.normal(0, 0.2, (COUNT, len(TOPICS)))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gains = 0.5 * (topic == 0) + 0.5 * (is_long & has_numbers) + chance.normal(0, 0.2, COUNT)
    return prompts, looked_at(prompts, vectors), gains


def skill(score: Floats, gains: Floats) -> float:
    return apgr(score, Outcomes(np.zeros(len(gains)), gains))


def test_terms_are_words_and_pairs_whatever_their_case() -> None:
    assert terms("The Ferry. the ferry!") == terms("the ferry the ferry")
    assert len(terms("the ferry sails")) == 5
    assert terms("a - 1 _") == terms("") == {}
    assert max(terms("ferry ferry").values()) == pytest.approx(1 + np.log(2))
    assert all(0 <= bucket < BUCKETS for bucket in terms("Der Fährmann sägt, 船は出る"))


def test_words_say_what_was_fitted(world: tuple[tuple[str, ...], Questions, Floats]) -> None:
    prompts, known, gains = world
    words = fit_words(known.take(np.arange(400)), gains[:400])
    fitted = weighed(known.words[400:], words.rarity) @ words.weights + words.bias
    assert [words.of(prompt) for prompt in prompts[400:]] == pytest.approx(list(fitted))
    assert skill(np.asarray(fitted), gains[400:]) > 0.6
    assert words.of("") == words.of("qwfp zzyzx") == words.bias


def test_trees_say_what_was_fitted(
    world: tuple[tuple[str, ...], Questions, Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.ensemble import GradientBoostingRegressor

    fitted: list[GradientBoostingRegressor] = []
    fit = GradientBoostingRegressor.fit

    def spied(regressor: GradientBoostingRegressor, *given: Floats) -> GradientBoostingRegressor:
        fitted.append(regressor)
        return fit(regressor, *given)

    monkeypatch.setattr(GradientBoostingRegressor, "fit", spied)
    _, known, gains = world
    trees = fit_trees(known.take(np.arange(400)), gains[:400])
    theirs = fitted[0].predict(known.seen[400:])
    ours = np.array([trees.of(seen) for seen in known.seen[400:]])
    assert ours == pytest.approx(theirs)
    assert skill(ours, gains[400:]) > 0.6


def test_meaning_is_kernel_ridge_regression(world: tuple[tuple[str, ...], Questions, Floats]) -> None:
    from sklearn.kernel_ridge import KernelRidge

    _, known, gains = world
    few = known.take(np.arange(300))  # fewer than there are landmarks: no approximation
    meaning = fit_meaning(few, gains[:300])
    exact = KernelRidge(alpha=10.0, kernel="rbf", gamma=1.0).fit(few.vectors, gains[:300] - gains[:300].mean())
    ours = np.array([meaning.of(vector) for vector in known.vectors[400:]])
    assert ours == pytest.approx(exact.predict(known.vectors[400:]) + gains[:300].mean(), abs=2e-3)
    assert skill(ours, gains[400:]) > 0.6


def test_nearness_is_one_for_the_same_and_less_for_others() -> None:
    vectors = np.eye(3)
    near = Meaning(vectors.astype(np.float32), np.zeros(3), 1.0, 0.0).nearness(vectors)
    assert near == pytest.approx(np.where(np.eye(3) > 0, 1.0, np.exp(-2.0)))


def test_surface_is_a_line(world: tuple[tuple[str, ...], Questions, Floats]) -> None:
    _, known, gains = world
    surface = fit_surface(known.take(np.arange(400)), gains[:400])
    assert len(surface.weights) == len(NAMES)
    ours = np.array([surface.of(seen) for seen in known.seen[400:]])
    assert skill(ours, gains[400:]) > 0.55


def test_the_same_questions_give_the_same_weights(world: tuple[tuple[str, ...], Questions, Floats]) -> None:
    _, known, gains = world
    one, other = (fit_trees(known, gains) for _ in range(2))
    assert one.value.tolist() == other.value.tolist()
    assert isinstance(fit_words(known, gains), Words)
