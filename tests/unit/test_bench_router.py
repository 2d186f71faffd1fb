"""The benchmark of routers: nobody is scored on what he learned from, and the simple ones do what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router.arbiter.answers import Answer
from router.arbiter.labels import Labels
from router.arbiter.metrics import Floats, Outcomes, apgr
from tests.bench.router.baselines import BASELINES, Known, folds
from tests.bench.router.post import JUDGES, Written, by_group, calibration, spending
from tests.bench.router.post import crossed as crossed_after
from tests.bench.router.report import TARGETS, markdown, summary
from tests.bench.router.sets import labels, pareto
from tests.bench.router.tables import across, crossed, few, rows

COUNT = 400
WRITTEN = 150


@pytest.fixture(scope="module")
def known() -> Known:
    """Sums are for the cloud and colours are not; the lines say nothing else."""
    chance = np.random.default_rng(12)  # not the seed that breaks ties
    is_sum = chance.random(COUNT) < 0.5
    prompts = tuple(f"{'sum of numbers' if one else 'colour of bird'} {n:03}" for n, one in enumerate(is_sum))
    weak = (chance.random(COUNT) < np.where(is_sum, 0.2, 0.9)).astype(np.float64)
    strong = (chance.random(COUNT) < 0.9).astype(np.float64)
    groups = tuple("sums" if one else "colours" for one in is_sum)
    vectors = np.stack([is_sum, ~is_sum], axis=1).astype(np.float64) + chance.normal(0, 0.1, (COUNT, 2))
    return Known(Labels(prompts, Outcomes(weak, strong), (), groups), vectors)


@pytest.mark.parametrize("name", ["tfidf", "embedding", "prior"])
def test_what_can_be_learned_is_learned(known: Known, name: str) -> None:
    assert apgr(crossed(known, BASELINES[name]), known.labels.outcomes) > 0.7


@pytest.mark.parametrize("name", ["random", "length"])
def test_who_learns_nothing_knows_nothing(known: Known, name: str) -> None:
    assert apgr(crossed(known, BASELINES[name]), known.labels.outcomes) == pytest.approx(0.5, abs=0.12)


def test_nobody_is_scored_on_what_he_learned_from(known: Known) -> None:
    def memory(learned: Known, scored: Known) -> Floats:
        gains = dict(zip(learned.labels.prompts, learned.gains, strict=True))
        return np.array([gains.get(prompt, 0.0) for prompt in scored.labels.prompts])

    assert apgr(memory(known, known), known.labels.outcomes) > 0.85
    assert apgr(crossed(known, memory), known.labels.outcomes) == pytest.approx(0.5, abs=0.1)


def test_few_are_few(known: Known) -> None:
    seen: list[int] = []

    def counting(learned: Known, scored: Known) -> Floats:
        seen.append(len(learned))
        return np.zeros(len(scored))

    few(known, counting, 30)
    assert seen == [30] * 5


def test_across_groups_is_scored_on_groups_that_were_not_learned_from(known: Known) -> None:
    groups = tuple(f"group {n % 8}" for n in range(COUNT))
    grouped = replace(known, labels=replace(known.labels, groups=groups))

    def checking(learned: Known, scored: Known) -> Floats:
        assert not set(learned.labels.groups) & set(scored.labels.groups)
        assert len(set(scored.labels.groups)) == 2
        return BASELINES["embedding"](learned, scored)

    table = {row["router"]: row for row in across(grouped, {"length": BASELINES["length"], "checking": checking}, 6)}
    assert table["checking"]["minus_length"]["lo"] > 0
    assert table["length"]["minus_length"] == {"value": 0.0, "lo": 0.0, "hi": 0.0}


def test_rows_are_compared_with_the_best_of_the_simple_ones(known: Known) -> None:
    scores = {name: crossed(known, BASELINES[name]) for name in ("random", "oracle", "length", "tfidf", "prior")}
    table = {str(row["router"]): row for row in rows(scores, known.labels.outcomes, 100)}
    (best,) = {row["against"] for row in table.values()}
    assert best in {"tfidf", "prior"}
    assert table[str(best)]["difference"] == {"value": 0.0, "lo": 0.0, "hi": 0.0}
    oracle, random = (table[name]["difference"] for name in ("oracle", "random"))
    assert isinstance(oracle, dict)
    assert isinstance(random, dict)
    assert oracle["lo"] > 0 > random["hi"]


def test_files_in_the_layouts_of_their_authors(tmp_path: Path) -> None:
    weak, strong = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
    anatomy = tmp_path / "anatomy.csv"
    anatomy.write_text(f'prompt,{weak},{strong}\n"Where, then?\nA. Here",False,True\nx,True,True\n')
    found = labels([anatomy])
    assert found.prompts == ("Where, then?\nA. Here", "x")
    assert (found.outcomes.weak.tolist(), found.outcomes.strong.tolist()) == ([0, 1], [1, 1])
    assert found.groups == ("anatomy", "anatomy")
    arms = {
        "meta-llama/llama-3.1-8b-instruct": {"reward": 0.4, "cost": 0.001},
        "google/gemini-2.5-pro": {"reward": 0.9, "cost": 0.02},
    }
    lines = tmp_path / "pareto.jsonl"
    lines.write_text(json.dumps({"prompt": "a\u2028b", "arms": arms, "source": "mbpp"}, ensure_ascii=False) + "\n")
    found = pareto(lines, "gemini")
    assert (found.outcomes.weak.tolist(), found.groups) == ([0.4], ("mbpp",))
    assert found.outcomes.strong_usd is not None
    own = tmp_path / "own.jsonl"
    own.write_text('{"prompt": "x", "weak": 1, "strong": 0}')
    assert labels([own]).outcomes.weak.tolist() == [1]


# --- after an answer, and both ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(known: Known) -> Written:
    """The weak side shows that it is unsure wherever it is wrong; the strong side costs forty times as much."""
    weak = known.labels.outcomes.weak
    answers = tuple(
        Answer(prompt, f"It is {n}." if right else "I do not know, however it might be one of them.")
        for n, (prompt, right) in enumerate(zip(known.labels.prompts, weak, strict=True))
    )
    costs = (np.full(COUNT, 0.001), np.full(COUNT, 0.04))
    outcomes = Outcomes(weak, known.labels.outcomes.strong, *costs)
    whole = Written(Labels(known.labels.prompts, outcomes, answers), known.vectors, known.vectors)
    return whole.take(np.arange(WRITTEN))


def test_who_sees_the_answer_knows_more(written: Written) -> None:
    parts = folds(len(written), 3)
    ours, length = (
        apgr(crossed_after(written, JUDGES[name], parts), written.labels.outcomes) for name in ("ours", "length")
    )
    assert ours > length + 0.15


def test_both_together_are_no_worse_than_the_better_one_alone(written: Written) -> None:
    """And the money of a draft that is thrown away counts."""
    table = spending(written, (0.0, 0.3), 50)
    assert [round(row["weak_costs"], 3) for row in table] == [0.025] * 3 + [0.3] * 3
    cheap, dear = ({row["way"]: row for row in some} for some in (table[:3], table[3:]))
    for ways in (cheap, dear):
        assert set(ways) == {"before", "after", "both"}
        assert ways["both"]["difference"]["hi"] > 0  # not surely worse
        assert 0.5 < ways["before"]["area"]["value"] < 1.3
    assert dear["after"]["area"]["value"] < cheap["after"]["area"]["value"] - 0.05


def test_trust_is_measured_by_set(written: Written) -> None:
    tokens = tuple(
        replace(answer, logprobs=(-0.1 - 0.01 * (n % 7),), entropies=(0.5,), margins=(1.0,), samples=("It is 1.",))
        for n, answer in enumerate(written.labels.answers)
    )
    groups = tuple(f"article {n % 40}" for n in range(WRITTEN))
    record = replace(written, labels=replace(written.labels, answers=tokens, groups=groups))
    sets = ["one" if n % 2 else "other" for n in range(WRITTEN)]
    table = {(row["judge"], row["set"]): row for row in calibration(record, sets, 50)}
    assert set(table) == {
        (judge, some) for judge in ("mean logprob", "ours", "ours, two samples") for some in ("all", "one", "other")
    }
    assert table["ours", "all"]["n"] == WRITTEN == 2 * table["ours", "one"]["n"]
    assert table["ours", "all"]["auroc"]["value"] > 0.95
    assert 0.3 < table["mean logprob", "all"]["auroc"]["value"] < 0.7


def test_articles_stay_together() -> None:
    groups = [f"article {n % 13}" for n in range(200)]
    parts = by_group(groups)
    assert sorted(row for part in parts for row in part) == list(range(200))
    assert all(sum(name in {groups[row] for row in part} for part in parts) == 1 for name in set(groups))


def test_what_was_not_measured_is_said(known: Known) -> None:
    scores = {name: crossed(known, BASELINES[name]) for name in ("random", "oracle", "length", "tfidf", "prior")}
    table = rows({**scores, "ours": scores["tfidf"]}, known.labels.outcomes, 20)
    found = [{"table": "mmlu_5fold"} | row for row in table]
    figures = summary(found)
    assert set(figures) == set(TARGETS)
    assert {key for key, value in figures.items() if value is not None} == {"mmlu_5fold.apgr"}
    told = markdown({"machine": "m", "commit": "c", "rows": found, "summary": figures})
    assert "| `gsm8k_post.apgr` | >= 0.75 | not measured |" in told
    assert "(tfidf)" in told or "(prior)" in told
