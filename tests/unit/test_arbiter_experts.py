"""The experts: what is served says what was fitted, and each learns what it is there for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from router.arbiter.experts import Expert, Look, Looks, Meaning, Words, terms, weighed
from router.arbiter.features import NAMES, surface
from router.arbiter.metrics import Floats, Outcomes, apgr
from router.arbiter.training import (
    fit_forest,
    fit_line,
    fit_meaning,
    fit_trees,
    fit_words,
    looked_at,
    wanted,
)

COUNT = 600
LEARNED, ASKED = np.arange(400), np.arange(400, COUNT)
TOPICS = ("integral of a function", "colour of a heron", "price of a ferry ticket", "author of a sonnet")

World = tuple[tuple[str, ...], Looks, Floats]


@pytest.fixture(scope="module")
def world() -> World:
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
    strong = 0.5 * (topic == 0) + 0.5 * (is_long & has_numbers) + chance.normal(0, 0.2, COUNT)
    targets = np.column_stack([chance.normal(0, 0.1, COUNT), strong])
    return prompts, looked_at(prompts, [surface(prompt) for prompt in prompts], vectors), targets


def skill(score: Floats, gains: Floats) -> float:
    return apgr(score, Outcomes(np.zeros(len(gains)), gains))


def one_by_one(expert: Expert, prompts: Sequence[str], looks: Looks) -> Floats:
    found = zip(prompts, looks.seen, looks.vectors, strict=True)
    return np.array([expert.of(Look(text, seen, vector)) for text, seen, vector in found])


def spied(monkeypatch: pytest.MonkeyPatch, kind: type) -> list[Any]:
    """What of a kind is fitted from now on."""
    fitted: list[Any] = []
    fit = kind.fit  # type: ignore[attr-defined]  # of scikit-learn, all have it

    def noted(model: object, *given: object) -> object:
        fitted.append(model)
        return fit(model, *given)

    monkeypatch.setattr(kind, "fit", noted)
    return fitted


def test_terms_are_words_and_pairs_whatever_their_case() -> None:
    assert terms("The Ferry. the ferry!") == terms("the ferry the ferry")
    assert len(terms("the ferry sails")) == 5
    assert terms("a - 1 _") == terms("") == {}
    assert max(terms("ferry ferry").values()) == pytest.approx(1 + np.log(2))
    assert len(terms("船は出る")) == 7
    assert all(0 <= term < 2**32 for term in terms("Der Fährmann sägt, 船は出る, \ud800half"))


def test_what_is_wanted_is_the_gain_or_the_one_grade() -> None:
    assert wanted(np.array([[0.25, 1.0], [1.0, 0.0]])).tolist() == [0.75, -1.0]
    assert wanted(np.array([[0.25], [1.0]])).tolist() == [0.25, 1.0]


@pytest.mark.parametrize(
    ("fit", "setting"), [(fit_words, 3.0), (fit_trees, 75), (fit_forest, 5), (fit_meaning, 3.0), (fit_line, 30.0)]
)
def test_each_says_the_same_of_one_as_of_many(world: World, fit: Any, setting: float) -> None:
    prompts, known, targets = world
    expert = fit(known.take(LEARNED), targets[LEARNED], setting)
    asked = known.take(ASKED)
    assert one_by_one(expert, prompts[400:], asked) == pytest.approx(expert.of_all(asked), abs=1e-5)
    assert skill(expert.of_all(asked), wanted(targets)[ASKED]) > 0.55
    assert expert.of_all(asked) == pytest.approx(fit(known.take(LEARNED), targets[LEARNED], setting).of_all(asked))


def test_words_are_ridge_regression_on_their_rarity(world: World) -> None:
    from sklearn.linear_model import Ridge

    prompts, known, targets = world
    words = fit_words(known.take(LEARNED), targets[LEARNED], 3.0)
    rarity = np.zeros(len(known.terms))
    rarity[np.searchsorted(known.terms, words.known)] = words.rarity
    rows = weighed(known.words, rarity)
    fitted = Ridge(alpha=3.0).fit(rows[LEARNED], wanted(targets)[LEARNED])
    assert one_by_one(words, prompts[400:], known.take(ASKED)) == pytest.approx(fitted.predict(rows[ASKED]), abs=1e-3)
    assert skill(words.of_all(known.take(ASKED)), wanted(targets)[ASKED]) > 0.6


def test_of_unknown_words_nothing_is_said(world: World) -> None:
    _, known, targets = world
    words = fit_words(known, targets, 3.0)
    unknown = ("", "qwfp zzyzx", "ゝ")
    looks = looked_at(unknown, [surface(text) for text in unknown], np.zeros((3, 4)))
    assert one_by_one(words, unknown, looks).tolist() == words.of_all(looks).tolist() == [words.bias] * 3
    nothing = looked_at(("", "?"), [surface("")] * 2, np.zeros((2, 4)))
    assert words.of_all(nothing).tolist() == [words.bias] * 2


def test_where_no_word_comes_twice_the_mean_is_said() -> None:
    texts = ("ferry", "heron", "sonnet")
    looks = looked_at(texts, [surface(text) for text in texts], np.zeros((3, 4)))
    words = fit_words(looks, np.array([[0.0], [1.0], [1.0]]), 3.0)
    assert isinstance(words, Words)
    assert words.of_all(looks) == pytest.approx(2 / 3)
    assert words.of(Look("ferry", looks.seen[0], looks.vectors[0])) == pytest.approx(2 / 3)


def test_trees_say_what_was_fitted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.ensemble import GradientBoostingRegressor

    fitted = spied(monkeypatch, GradientBoostingRegressor)
    _, known, targets = world
    trees = fit_trees(known.take(LEARNED), targets[LEARNED], 75)
    ours = trees.of_all(known.take(ASKED))
    assert ours == pytest.approx(fitted[0].predict(known.seen[ASKED]))
    assert len(trees.roots) == 75
    assert skill(ours, wanted(targets)[ASKED]) > 0.6


def test_a_forest_says_the_difference_of_both_sides(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.ensemble import ExtraTreesRegressor

    fitted = spied(monkeypatch, ExtraTreesRegressor)
    _, known, targets = world
    both = fit_forest(known.take(LEARNED), targets[LEARNED], 5).of_all(known.take(ASKED))
    one = fit_forest(known.take(LEARNED), targets[LEARNED][:, 1:], 5).of_all(known.take(ASKED))
    theirs = fitted[0].predict(known.seen[ASKED])
    assert both == pytest.approx(theirs[:, 1] - theirs[:, 0])
    assert one == pytest.approx(fitted[1].predict(known.seen[ASKED]))
    assert skill(both, wanted(targets)[ASKED]) > 0.6


def test_meaning_is_kernel_ridge_regression(world: World) -> None:
    from sklearn.kernel_ridge import KernelRidge

    _, known, targets = world
    few = known.take(np.arange(300))  # fewer than there are landmarks: no approximation
    gains = wanted(targets)[:300]
    exact = KernelRidge(alpha=10.0, kernel="rbf", gamma=1.0).fit(few.vectors, gains - gains.mean())
    ours = fit_meaning(few, targets[:300], 10.0).of_all(known.take(ASKED))
    assert ours == pytest.approx(exact.predict(known.vectors[ASKED]) + gains.mean(), abs=2e-3)


def test_of_many_vectors_there_are_some_hundred_landmarks_of_one_length(world: World) -> None:
    _, known, targets = world
    meaning = fit_meaning(known, targets, 10.0)
    assert meaning.landmarks.shape == (256, len(TOPICS))
    assert np.linalg.norm(meaning.landmarks, axis=1) == pytest.approx(2.0, abs=1e-5)


def test_the_nearest_landmark_is_found() -> None:
    meaning = Meaning(2 * np.eye(3, dtype=np.float32), np.array([3.0, 2.0, 1.0], np.float32), 0.5)
    vector = np.array([0.0, 1.0, 0.0])
    assert meaning.looked_up(vector) == pytest.approx((0.5 + 3 + 2 * np.exp(2.0) + 1, 2.0))
    assert meaning.looked_up(-vector)[1] == 0.0
    looks = Looks(np.zeros(1, np.int64), None, np.zeros((2, 1)), np.stack([vector, -vector]))
    assert meaning.of_all(looks) == pytest.approx([meaning.looked_up(one)[0] for one in (vector, -vector)])


def test_a_line_is_ridge_regression_on_one_scale(world: World) -> None:
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    _, known, targets = world
    line = fit_line(known.take(LEARNED), targets[LEARNED], 30.0)
    scaler = StandardScaler().fit(known.seen[LEARNED])
    fitted = Ridge(alpha=30.0).fit(scaler.transform(known.seen[LEARNED]), wanted(targets)[LEARNED])
    assert line.of_all(known.take(ASKED)) == pytest.approx(fitted.predict(scaler.transform(known.seen[ASKED])))
    assert len(line.weights) == len(NAMES)


def test_what_is_usual_adds_nothing_to_a_line(world: World) -> None:
    _, known, targets = world
    line = fit_line(known, targets, 30.0)
    assert line.adds(line.usual) == pytest.approx(0.0)
    look = Look("", known.seen[7], known.vectors[7])
    usual = Look("", line.usual, known.vectors[7])
    assert line.of(usual) + line.adds(look.seen).sum() == pytest.approx(line.of(look))


def test_some_rows_of_many_are_the_same_rows(world: World) -> None:
    _, known, _ = world
    some = known.take(np.array([5, 2]))
    assert len(some) == 2
    assert some.seen.tolist() == known.seen[[5, 2]].tolist()
    assert some.words.toarray().tolist() == known.words[[5, 2]].toarray().tolist()
