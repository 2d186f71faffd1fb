"""What a router decides with: which models it opens, and how its settings become decisions."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from edgewise.errors import InvalidInput, NotReady
from router.arbiter.answers import Answer
from router.arbiter.arbiter import BOTH, GAIN, TRUST, TRUST_OF_SAMPLES, Arbiter, Models
from router.arbiter.cascade import SUPPOSED, Both
from router.arbiter.ensemble import Ensemble, Expected
from router.arbiter.features import NAMES
from router.arbiter.rules import AtLeast, Paced, WorthIt
from router.config import RouterSettings
from tests import worlds
from tests.worlds import EMBEDDER, FAR, answer, vector

SUM, BIRD = "What is 12 + 84?", "Which bird, of the kind 9, sings at night?"


@pytest.fixture(scope="module")
def shipped() -> Models:
    return Models.open()


@pytest.fixture(scope="module")
def models() -> Models:
    """As if they had been trained on this device."""
    return Models(worlds.gain(), worlds.trust(), worlds.trust(2), own=frozenset((GAIN, TRUST, TRUST_OF_SAMPLES)))


def arbiter(models: Models, **settings: object) -> Arbiter:
    return Arbiter(models, RouterSettings.model_validate(settings))


async def embed(text: str) -> Sequence[float]:
    return list(map(float, vector(text)))


async def far(text: str) -> Sequence[float]:
    return list(map(float, FAR))


async def never(text: str) -> Sequence[float]:
    raise AssertionError("nothing is to be embedded")


def gain_of(deciding: Arbiter, question: str) -> Expected:
    return asyncio.run(deciding.gain(question, embed, EMBEDDER))


def trust_of(deciding: Arbiter, given: Answer) -> float | None:
    return asyncio.run(deciding.trust(given, embed, EMBEDDER))


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_shipped_models_are_opened_where_there_are_no_others(shipped: Models, tmp_path: Path) -> None:
    assert shipped.gain.about.features == NAMES
    assert shipped.trust_of_samples is not None
    assert "samples" in shipped.trust_of_samples.about.groups
    assert "samples" not in shipped.trust.about.groups
    assert shipped.both == SUPPOSED
    assert shipped.own == frozenset()
    opened = Models.open(tmp_path / "none")
    assert (opened.gain.about, opened.trust.about) == (shipped.gain.about, shipped.trust.about)
    assert opened.own == frozenset()


def test_the_shipped_models_decide(shipped: Models) -> None:
    deciding = arbiter(shipped)
    found = asyncio.run(deciding.gain("Who wrote the song about the grey heron?", never, None))
    assert -1 <= found.value <= 1.2
    assert found.familiar
    sure = Answer("Who wrote Hamlet?", "Shakespeare", (), (-0.01, -0.01), (0.05, 0.05), (0.98, 0.98))
    trust = [
        asyncio.run(deciding.trust(one, never, None))
        for one in (replace(sure, logprobs=(-4.0, -3.0), entropies=(5.0, 4.0), margins=(0.01, 0.02)), sure)
    ]
    assert trust[0] is not None
    assert trust[1] is not None
    assert 0 < trust[0] < trust[1] < 1
    assert deciding.version == f"{shipped.gain.version} {shipped.trust.version}"
    assert deciding.both == SUPPOSED


def test_own_models_win(shipped: Models, tmp_path: Path) -> None:
    worlds.gain().save(tmp_path / GAIN)
    Both(0.1, 0.2, -0.3, (0.0,)).save(tmp_path / BOTH)
    opened = Models.open(tmp_path)
    assert opened.gain.about == worlds.gain().about
    assert opened.trust.about == shipped.trust.about
    assert opened.trust_of_samples is not None
    assert opened.both == Both(0.1, 0.2, -0.3, (0.0,))
    assert opened.own == {GAIN}
    assert arbiter(opened).both is opened.both


def test_own_trust_without_samples_drops_the_shipped_one_of_samples(tmp_path: Path) -> None:
    worlds.trust().save(tmp_path / TRUST)
    opened = Models.open(tmp_path)
    assert opened.trust_of_samples is None
    assert opened.own == {TRUST}
    worlds.trust(2).save(tmp_path / TRUST_OF_SAMPLES)
    both = Models.open(tmp_path)
    assert both.trust_of_samples is not None
    assert both.trust_of_samples.about == worlds.trust(2).about
    assert both.own == {TRUST, TRUST_OF_SAMPLES}


@pytest.mark.parametrize("name", [GAIN, TRUST, TRUST_OF_SAMPLES, BOTH])
def test_a_damaged_file_is_refused_and_not_replaced_by_a_shipped_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK damaged")
    with pytest.raises(InvalidInput, match=rf"{name}.*damaged; train it again"):
        Models.open(tmp_path)


def test_what_learned_from_other_features_or_for_something_else_is_refused(tmp_path: Path) -> None:
    other = replace(worlds.gain(), about=replace(worlds.gain().about, features=NAMES[1:]))
    other.save(tmp_path / GAIN)
    with pytest.raises(InvalidInput, match="by another version"):
        Models.open(tmp_path)
    worlds.trust().save(tmp_path / GAIN)
    with pytest.raises(InvalidInput, match="for something else"):
        Models.open(tmp_path)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_without_wishes_the_thresholds_decide(models: Models) -> None:
    deciding = arbiter(models, gain_threshold=0.4, unfamiliar_gain_threshold=0.1, trust_threshold=0.7)
    assert deciding.gains == AtLeast(0.4, 0.1)
    assert (deciding.keeps_from, deciding.keeps_because) == (0.7, "")
    assert deciding.doubted == pytest.approx(np.mean(models.trust.held_out[:, 0] < 0.7))
    assert 0.3 < deciding.doubted < 0.7


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_what_is_trusted_at_least_so_much_stays(models: Models, threshold: float) -> None:
    doubts = arbiter(models, trust_threshold=threshold).doubts
    assert not doubts.decide(1 - threshold).to_cloud
    assert not doubts.decide(1 - threshold, familiar=False).to_cloud
    assert doubts.decide(1 - threshold + 1e-9).to_cloud


@pytest.mark.parametrize("alpha", [0.2, 0.3])
def test_a_promise_holds_on_the_graded_answers(models: Models, alpha: float) -> None:
    deciding = arbiter(models, wrong_at_most=alpha, confidence=0.9)
    assert math.isfinite(deciding.keeps_from)
    assert deciding.keeps_because == ""
    expected, right = models.trust.held_out.T
    stays = np.array([not deciding.doubts.decide(1 - value).to_cloud for value in expected])
    assert stays.sum() > 50
    assert (1 - right[stays]).mean() <= alpha
    assert deciding.doubted == pytest.approx(1 - stays.mean(), abs=1e-3)


def test_where_nothing_can_be_promised_nothing_is_kept(models: Models) -> None:
    deciding = arbiter(models, wrong_at_most=0.001)
    assert deciding.keeps_from == math.inf
    assert "cannot be promised at any trust" in deciding.keeps_because
    assert deciding.doubted == 1.0
    assert deciding.doubts.decide(0.0).to_cloud


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_the_cloud_gets_its_share(models: Models, share: float) -> None:
    deciding = arbiter(models, cloud_share=share)
    gains = np.mean([deciding.gains.decide(value).to_cloud for value in models.gain.held_out[:, 0]])
    doubts = np.mean([deciding.doubts.decide(1 - value).to_cloud for value in models.trust.held_out[:, 0]])
    assert gains <= share
    assert gains == pytest.approx(share, abs=0.05)
    assert doubts <= share
    assert doubts == pytest.approx(share, abs=0.15)  # many answers are trusted the same


def test_money_decides_before_and_after(models: Models) -> None:
    dear = arbiter(models, usd_per_error=0.1)
    assert dear.gains == dear.doubts == WorthIt(0.1)
    paced = arbiter(models, usd_per_question=0.01)
    assert isinstance(paced.gains, Paced)
    assert paced.gains is paced.doubts  # one purse


def test_samples_need_trust_that_knows_them(models: Models) -> None:
    with pytest.raises(NotReady, match=r"router\.samples is set.*edgewise train post"):
        arbiter(replace(models, trust_of_samples=None), samples=2)
    assert arbiter(replace(models, trust_of_samples=None)).version.endswith(models.trust.version)
    sampled = arbiter(models, samples=2)
    assert trust_of(sampled, answer(SUM, 96, sure=True, samples=2)) is not None
    without = answer(SUM, 96, sure=True)
    assert trust_of(sampled, without) == trust_of(arbiter(models), without), "then the plain one looks"
    assert trust_of(arbiter(models), answer(SUM, 96, sure=True)) is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"cloud_share": 0.5, "usd_per_error": 0.1},
        {"cloud_share": 0.5, "usd_per_question": 0.1},
        {"usd_per_error": 0.0, "usd_per_question": 0.0},
        {"cloud_share": 0.5, "usd_per_error": 0.1, "usd_per_question": 0.1},
    ],
)
def test_of_several_wishes_none_is_guessed(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=f"{' and '.join(settings)} exclude each other"):
        RouterSettings.model_validate(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gain_threshold", 1.1), ("gain_threshold", math.nan), ("unfamiliar_gain_threshold", -1.1),
        ("trust_threshold", -0.1), ("trust_threshold", 1.1), ("wrong_at_most", 0.0), ("wrong_at_most", 1.0),
        ("confidence", 0.0), ("confidence", 1.0), ("cloud_share", 1.1), ("cloud_share", math.nan),
        ("usd_per_error", -0.1), ("usd_per_error", math.nan), ("usd_per_question", -0.1),
        ("usd_per_question", math.nan), ("edge_price", 1.1), ("samples", -1), ("samples", 9),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        RouterSettings.model_validate({name: value})


# --- questions and answers --------------------------------------------------------------------------------------------


def test_the_gain_of_a_question(models: Models) -> None:
    deciding = arbiter(models)
    assert gain_of(deciding, SUM).value > 0.5 > gain_of(deciding, BIRD).value
    assert gain_of(deciding, SUM).familiar
    assert deciding.gains.decide(gain_of(deciding, SUM).value).to_cloud
    assert not deciding.gains.decide(gain_of(deciding, BIRD).value).to_cloud


def test_what_is_unfamiliar_is_flagged(models: Models) -> None:
    deciding = arbiter(models)
    assert not asyncio.run(deciding.gain(SUM, far, EMBEDDER)).familiar
    assert not gain_of(deciding, "十二加八十四等于多少？").familiar


def test_own_models_are_never_used_with_another_embedder(models: Models) -> None:
    deciding = arbiter(models)
    for embedder in ("another", None):
        with pytest.raises(NotReady, match=r"edge\.embedder.*edgewise train pre\), or delete gain\.npz"):
            asyncio.run(deciding.gain(SUM, never, embedder))
        with pytest.raises(NotReady, match=r"edge\.embedder.*edgewise train post\), or delete trust\.npz"):
            asyncio.run(deciding.trust(answer(SUM, 96, sure=True), never, embedder))


def test_shipped_ones_do_without_the_embedding_of_another_embedder(models: Models) -> None:
    deciding = arbiter(replace(models, own=frozenset()))
    for embedder in ("another", None):
        found = asyncio.run(deciding.gain(SUM, never, embedder))
        assert found.parts["meaning"] == 0.0
        assert found.familiar
        assert found.value > 0.3
        assert asyncio.run(deciding.trust(answer(SUM, 96, sure=True), never, embedder)) is not None
    assert gain_of(deciding, SUM).parts["meaning"] != 0.0


def test_trust_is_high_where_the_edge_was_sure(models: Models) -> None:
    deciding = arbiter(models)
    sure, unsure = (trust_of(deciding, answer(BIRD, 1234, sure=one)) for one in (True, False))
    assert sure is not None
    assert unsure is not None
    assert sure > 0.7
    assert unsure < 0.4


def test_of_some_answers_nothing_can_be_told(models: Models) -> None:
    deciding, sure = arbiter(models), answer(SUM, 96, sure=True)
    for unknown in (
        replace(sure, logprobs=()),
        replace(sure, entropies=()),
        replace(sure, question="谁写了《哈姆雷特》？"),
        replace(sure, question="Сколько будет?"),
    ):
        assert trust_of(deciding, unknown) is None
    assert asyncio.run(deciding.trust(sure, far, EMBEDDER)) is None


def test_a_very_long_question_is_judged_by_its_beginning(models: Models) -> None:
    deciding = arbiter(models)
    long, longer = (SUM + " and more" * many for many in (4000, 8000))
    assert gain_of(deciding, long).value == gain_of(deciding, longer).value


def test_a_blank_question_is_not_embedded(models: Models) -> None:
    assert asyncio.run(arbiter(models).gain("  \n", never, EMBEDDER)).parts["meaning"] == 0.0


def test_reasons_are_the_experts_and_the_strongest_features(models: Models) -> None:
    deciding = arbiter(models)
    found = gain_of(deciding, SUM)
    reasons = deciding.reasons(SUM, found)
    assert dict(list(reasons.items())[: len(found.parts)]) == found.parts
    assert len(reasons) == len(found.parts) + 6
    assert set(reasons) - set(found.parts) < set(NAMES)


def test_one_that_was_saved_and_opened_decides_the_same(models: Models, tmp_path: Path) -> None:
    for name, ensemble in ((GAIN, models.gain), (TRUST, models.trust), (TRUST_OF_SAMPLES, models.trust_of_samples)):
        assert isinstance(ensemble, Ensemble)
        ensemble.save(tmp_path / name)
    once, again = arbiter(models), arbiter(Models.open(tmp_path))
    for question in (SUM, BIRD):
        assert gain_of(again, question).value == pytest.approx(gain_of(once, question).value, abs=1e-5)
        sure = answer(question, 1234, sure=True)
        assert trust_of(again, sure) == pytest.approx(trust_of(once, sure), abs=1e-4)
