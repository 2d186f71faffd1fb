"""The trained arbiter as a whole: what it expects, and what is refused instead of being loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgewise.errors import InvalidInput, NotFound
from router.arbiter.answers import names_of, seen
from router.arbiter.ensemble import Ensemble, Expected
from router.arbiter.features import NAMES, surface
from router.arbiter.metrics import Floats, Outcomes, apgr, auroc
from router.arbiter.training import OF_ANSWERS, OF_QUESTIONS, _folds, fit_gain, fit_trust
from tests.worlds import COUNT, EMBEDDER, FAR, answers, gain, questions, trust, vector

NOTHING: Floats = np.empty(0)


def expected(ensemble: Ensemble, question: str, embedding: Floats | None = None) -> Expected:
    found = vector(question) if embedding is None else embedding
    return ensemble.of(question, np.array(surface(question)), found)


def trusted(ensemble: Ensemble, seed: int, samples: int = 0) -> tuple[Floats, Floats]:
    """What is expected of answers, and whether they are right."""
    labels, vectors = answers(seed, samples=samples)
    values = [
        ensemble.of(f"{one.question} {one.text}", np.array(seen(one, ensemble.about.groups)), embedding).value
        for one, embedding in zip(labels.answers, vectors, strict=True)
    ]
    return np.array(values), labels.outcomes.weak


# --- what is expected -------------------------------------------------------------------------------------------------


def test_it_expects_the_gain_of_questions_that_it_has_not_seen() -> None:
    labels, _ = questions(2)
    gains = np.array([expected(gain(), prompt).value for prompt in labels.prompts])
    assert apgr(gains, labels.outcomes) > 0.7
    is_sum = np.array(["+" in prompt for prompt in labels.prompts])
    assert gains[is_sum].mean() == pytest.approx(0.7, abs=0.15)
    assert gains[~is_sum].mean() == pytest.approx(0.0, abs=0.15)


def test_it_trusts_the_answers_that_the_edge_was_sure_of() -> None:
    for samples in (0, 2):
        values, right = trusted(trust(samples), 2, samples)
        assert auroc(values, right) > 0.75
        assert ((values > 0) & (values < 1)).all()
        assert values.mean() == pytest.approx(right.mean(), abs=0.1)


def test_it_says_what_it_learned_from() -> None:
    about = gain().about
    assert (about.kind, about.features, about.groups, about.pair) == ("gain", NAMES, (), "a pair")
    assert (about.embedder, about.learned_from, about.questions) == (EMBEDDER, "labels", COUNT)
    assert tuple(gain().experts) == OF_QUESTIONS
    assert gain().version == "gain-labels"
    assert trust().about.groups == ("form", "logprobs", "spread", "support")
    assert trust(2).about.groups == ("form", "logprobs", "spread", "support", "samples")
    assert trust(2).about.features == names_of(trust(2).about.groups)
    assert tuple(trust().experts) == OF_ANSWERS
    assert trust().version == "trust-graded answe"


def test_what_is_expected_comes_from_its_parts() -> None:
    labels, _ = questions(2)
    found = expected(gain(), labels.prompts[0])
    assert tuple(found.parts) == OF_QUESTIONS
    assert found.value == pytest.approx(gain().calibration.of(0.0) + sum(found.parts.values()))
    begun = gain().begin(labels.prompts[0], np.array(surface(labels.prompts[0])))
    assert gain().finish(begun, vector(labels.prompts[0])) == found


def test_trust_is_the_probability_at_the_score_of_its_parts() -> None:
    labels, vectors = answers(2)
    one = labels.answers[0]
    found = trust().of(one.text, np.array(seen(one, trust().about.groups)), vectors[0])
    assert tuple(found.parts) == OF_ANSWERS
    assert found.value == pytest.approx(trust().calibration.of(sum(found.parts.values())))


def test_all_experts_together_count_as_one() -> None:
    for ensemble in (gain(), trust()):
        assert ensemble.weights.sum() == pytest.approx(1.0)
        assert (ensemble.weights >= 0).all()


def test_what_is_held_out_was_not_seen() -> None:
    labels, vectors = questions(1)
    chance = np.random.default_rng(9)
    weak, strong = ((chance.random(COUNT) < right).astype(np.float64) for right in (0.5, 0.8))
    trained = fit_gain(replace(labels, outcomes=Outcomes(weak, strong)), vectors, EMBEDDER)
    said, came_true = trained.held_out.T
    assert came_true.tolist() == (strong - weak).tolist()
    assert abs(np.corrcoef(said + 1e-9 * chance.random(COUNT), came_true)[0, 1]) < 0.2
    gains = [expected(trained, prompt).value for prompt in labels.prompts]
    assert np.mean(gains) == pytest.approx(came_true.mean(), abs=0.05)
    assert np.std(gains) < 0.1


def test_held_out_trust_tells_right_from_wrong() -> None:
    said, right = trust().held_out.T
    assert set(right) == {0.0, 1.0}
    assert auroc(said, right) > 0.75
    assert said.mean() == pytest.approx(right.mean(), abs=0.05)


# --- what is unknown --------------------------------------------------------------------------------------------------


def test_without_an_embedding_meaning_keeps_quiet() -> None:
    found = expected(gain(), "What is 12 + 84?", NOTHING)
    assert found.parts["meaning"] == 0.0
    assert found.familiar
    others = expected(gain(), "What is 12 + 84?").parts
    assert {name: part for name, part in found.parts.items() if name != "meaning"} == {
        name: part for name, part in others.items() if name != "meaning"
    }
    assert others["meaning"] != 0.0


def test_what_is_unlike_all_that_was_learned_from_is_not_familiar() -> None:
    assert expected(gain(), "What is 12 + 84?").familiar
    assert not expected(gain(), "What is 12 + 84?", FAR).familiar
    assert not expected(gain(), "十二加八十四等于多少？", NOTHING).familiar
    assert not expected(gain(), "Сколько будет 12 + 84?", NOTHING).familiar


def test_the_strongest_features_are_those_of_the_line() -> None:
    surfaced = np.array(surface("What is 12 + 84?"))
    strongest = gain().strongest(surfaced, 4)
    assert len(strongest) == 4
    assert set(strongest) < set(NAMES)
    sizes = [abs(adds) for adds in strongest.values()]
    assert sizes == sorted(sizes, reverse=True)
    every = gain().strongest(surfaced, len(NAMES))
    found = expected(gain(), "What is 12 + 84?")
    assert sum(every.values()) == pytest.approx(found.parts["line"], abs=0.05)


# --- files ------------------------------------------------------------------------------------------------------------


def test_what_is_saved_expects_the_same(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "gain.npz"
    gain().save(path)
    loaded = Ensemble.load(path, "gain")
    for prompt in questions(2)[0].prompts[:50]:
        once, again = expected(gain(), prompt), expected(loaded, prompt)
        assert again.value == pytest.approx(once.value, abs=1e-5)
        assert again.familiar == once.familiar
    assert (loaded.about, loaded.domain) == (gain().about, gain().domain)
    assert loaded.held_out == pytest.approx(gain().held_out, abs=1e-6)
    assert path.stat().st_size < 1_000_000
    assert [file.name for file in path.parent.iterdir()] == ["gain.npz"]


@pytest.mark.parametrize("samples", [0, 2])
def test_saved_trust_is_the_same_trust(tmp_path: Path, samples: int) -> None:
    trust(samples).save(tmp_path / "trust.npz")
    loaded = Ensemble.load(tmp_path / "trust.npz", "trust")
    assert type(loaded.calibration) is type(trust(samples).calibration)
    assert trusted(loaded, 2, samples)[0] == pytest.approx(trusted(trust(samples), 2, samples)[0], abs=1e-4)
    loaded.check(names_of(loaded.about.groups), tmp_path / "trust.npz")


def test_an_earlier_one_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gain.npz"
    gain().save(path)
    whole = path.read_bytes()

    def full(file: object, **arrays: object) -> None:
        raise OSError("no space is left")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        gain().save(path)
    assert path.read_bytes() == whole


def test_what_cannot_be_used_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gain.npz"
    gain().save(path)
    with pytest.raises(NotFound, match=r"no trained arbiter at .*edgewise train pre"):
        Ensemble.load(tmp_path / "none.npz", "gain")
    with pytest.raises(InvalidInput, match="for something else; train it again: edgewise train post"):
        Ensemble.load(path, "trust")
    whole = path.read_bytes()
    for place, content in enumerate((b"", b"text", whole[: len(whole) // 2], whole[:-200], b"\x93NUMPY" + whole)):
        broken = tmp_path / f"{place}.npz"
        broken.write_bytes(content)
        with pytest.raises(InvalidInput, match="no trained arbiter, or is damaged"):
            Ensemble.load(broken, "gain")
    for name, about in (("objects", np.array({"format": 2}, dtype=object)), ("empty", np.array("{}"))):
        np.savez(tmp_path / f"{name}.npz", about=about)
        with pytest.raises(InvalidInput, match="no trained arbiter"):
            Ensemble.load(tmp_path / f"{name}.npz", "gain")
    with pytest.raises(InvalidInput, match="no trained arbiter"):
        Ensemble.load(tmp_path, "gain")
    monkeypatch.setattr("router.arbiter.ensemble._FORMAT", 1000)
    with pytest.raises(InvalidInput, match="trained by another version"):
        Ensemble.load(path, "gain")


def test_with_a_flipped_bit_it_is_refused_or_expects_the_same(tmp_path: Path) -> None:
    gain().save(tmp_path / "gain.npz")
    whole, path = (tmp_path / "gain.npz").read_bytes(), tmp_path / "flipped.npz"
    once = expected(Ensemble.load(tmp_path / "gain.npz", "gain"), "What is 12 + 84?")
    refused = 0
    for place in np.linspace(len(whole) * 0.1, len(whole) * 0.8, 40).astype(int):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            assert expected(Ensemble.load(path, "gain"), "What is 12 + 84?") == once
        except InvalidInput:
            refused += 1
    assert refused > 30


def test_one_that_learned_from_other_features_is_refused(tmp_path: Path) -> None:
    gain().check(NAMES, tmp_path)
    with pytest.raises(InvalidInput, match="by another version; train it again: edgewise train pre"):
        gain().check(NAMES[1:], tmp_path)


# --- learning ---------------------------------------------------------------------------------------------------------


def test_nothing_is_learned_from_too_little() -> None:
    labels, vectors = questions(1)
    with pytest.raises(InvalidInput, match="too few"):
        fit_gain(labels.take(np.arange(10)), vectors[:10], EMBEDDER)
    same = replace(labels, outcomes=Outcomes(np.zeros(COUNT), np.ones(COUNT)))
    with pytest.raises(InvalidInput, match="nothing to learn"):
        fit_gain(same, vectors, EMBEDDER)
    graded, places = answers(1)
    with pytest.raises(InvalidInput, match="too few"):
        fit_trust(graded.take(np.arange(10)), places[:10], EMBEDDER)
    with pytest.raises(InvalidInput, match="all 300 answers are wrong"):
        fit_trust(replace(graded, outcomes=Outcomes(np.zeros(COUNT), np.ones(COUNT))), places, EMBEDDER)


def test_each_question_is_held_out_once() -> None:
    folds = _folds(103)
    assert sorted(int(row) for fold in folds for row in fold) == list(range(103))
    assert [len(fold) for fold in folds] == pytest.approx([20.6] * 5, abs=1)


def test_a_group_is_held_out_as_a_whole_where_there_are_enough_of_them() -> None:
    groups = [f"group {row % 12}" for row in range(120)]
    folds = _folds(120, groups)
    assert [{groups[row] for row in fold} for fold in folds] != [set(groups)] * 5
    assert sum(len({groups[row] for row in fold}) for fold in folds) == 12
    few = [f"group {row % 3}" for row in range(120)]
    assert all({few[row] for row in fold} == set(few) for fold in _folds(120, few))
