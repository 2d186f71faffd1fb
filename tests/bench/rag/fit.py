"""The two models of `edge/ranking`, fitted to evidence.

python -m tests.bench.rag.fit --squad FILE --squad FILE --corpus FILE --multihop QUESTIONS CORPUS

writes `edge/ranking/weights.json`. The first SQuAD file is asked among the distractors of the corpus, every one also in
small libraries of a few articles: a device has few documents more often than many.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from edge.embedder import EMBEDDERS, Embedder
from edge.ranking.features import NAMES, features
from edge.ranking.models import GATE_NAMES, WEIGHTS, WITHOUT_VECTORS, Logistic, Models, gate_features, models
from edge.retriever import Retriever
from tests.bench.rag.evidence import Case, with_passages, without_articles, without_passages
from tests.bench.rag.filled import filled
from tests.bench.rag.sets import Asked, Given, Questions, distractors, folds, multihop, squad

# A question far from everything there is must be told more surely than one whose answer is missing beside it.
_ARTICLE_WEIGHT = 6.0
_RELEVANCE_STRENGTH, _GATE_STRENGTH = 1.0, 0.03


def fit(cases: Sequence[Case]) -> Models:
    """The models that tell gold passages from others, and questions with them from questions without."""
    there = [case for case in cases if case.condition == "there" and any(case.gold)]
    values = {id(case): features(case.search.asked, case.search.found) for case in cases}
    relevance = _logistic(
        [row for case in there for row in values[id(case)]],
        [gold for case in there for gold in case.gold],
        [1.0 for case in there for _ in case.gold],
        _RELEVANCE_STRENGTH,
    )
    gated = [case for case in cases if case.search.found and len(case.asked.gold) == 1]
    if not gated:  # a set of questions that need several passages, alone
        return Models(relevance, models(cases[0].search.kind).gate)
    gate = _logistic(
        [
            gate_features(values[id(case)], relevance, case.search.dense_scores, case.search.lexical_scores)
            for case in gated
        ],
        [case.condition == "there" for case in gated],
        [_ARTICLE_WEIGHT if case.condition == "article_gone" else 1.0 for case in gated],
        _GATE_STRENGTH,
    )
    return Models(relevance, gate)


def _logistic(
    rows: Sequence[Sequence[float]], labels: Sequence[bool], weights: Sequence[float], strength: float
) -> Logistic:
    """A logistic regression on standardised values, its weights given for the values as they are."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaled = scaler.fit_transform(np.asarray(rows, np.float64))
    fitted = LogisticRegression(C=strength, max_iter=2000).fit(scaled, labels, sample_weight=weights)
    coefficients = fitted.coef_[0] / scaler.scale_
    bias = float(fitted.intercept_[0] - coefficients @ scaler.mean_)
    return Logistic(tuple(float(weight) for weight in coefficients), bias)


class _Blind:
    """An embedder that can read nothing, so that the search by vectors is left out."""

    def reads(self, _: str) -> bool:
        return False


async def gather(embedder: Embedder, sets: Sequence[Questions], others: Sequence[Given], *, blind: bool) -> list[Case]:
    """Evidence of all sets: the first one among `others`, and sets with articles in small libraries, too."""
    cases: list[Case] = []
    for place, questions in enumerate(sets):
        cases += await _evidence(embedder, questions, others if place == 0 else (), blind=blind)
        articles = {one.group for one in questions.passages}
        if len(articles) < len(questions.passages):
            for size in (1, 4):
                for some in folds(sorted(articles), len(articles) // size):
                    cases += await _evidence(embedder, _only(questions, some), (), blind=blind)
    return cases


async def _evidence(embedder: Embedder, questions: Questions, others: Sequence[Given], *, blind: bool) -> list[Case]:
    with tempfile.TemporaryDirectory() as folder:
        async with filled(embedder, questions.passages, others, Path(folder), "sqlite") as there:
            retriever = Retriever(cast("Embedder", _Blind()), there.holdings) if blind else None
            cases = await with_passages(there, questions.asked, retriever)
            if any(len(one.gold) > 1 for one in questions.asked):
                return cases
            cases += await without_passages(there, questions.asked, retriever)
            if len({one.group for one in questions.asked}) > 1:
                cases += await without_articles(there, questions.asked, retriever)
            return cases


def _only(questions: Questions, groups: set[str]) -> Questions:
    """The part of a set that is about some articles."""
    places = [place for place, passage in enumerate(questions.passages) if passage.group in groups]
    moved = {old: new for new, old in enumerate(places)}
    asked = tuple(
        Asked(one.text, tuple(moved[place] for place in one.gold), one.answers, one.group)
        for one in questions.asked
        if one.group in groups
    )
    return Questions(questions.name, tuple(questions.passages[place] for place in places), asked)


async def _all(arguments: argparse.Namespace) -> dict[str, Models]:
    texts = [squad(path) for path in arguments.squad]
    hops = multihop(*arguments.multihop)
    others = distractors(arguments.corpus)
    fitted: dict[str, Models] = {}
    for name in (*EMBEDDERS, WITHOUT_VECTORS):
        blind = name == WITHOUT_VECTORS
        embedder = await asyncio.to_thread(Embedder.open, next(iter(EMBEDDERS)) if blind else name)
        readable = [one for one in texts if blind or embedder.reads(one.asked[0].text)]
        fitted[name] = fit(await gather(embedder, [*readable, hops], others, blind=blind))
        embedder.close()
        print(f"{name}: fitted")
    return fitted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, action="append", required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--multihop", type=Path, nargs=2, required=True)
    arguments = parser.parse_args()
    fitted = asyncio.run(_all(arguments))
    paths = [*arguments.squad, arguments.corpus, *arguments.multihop]
    kept = {
        "fitted_on": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
        "features": {"relevance": NAMES, "gate": GATE_NAMES},
        "models": {
            name: {part: _kept(getattr(pair, part)) for part in ("relevance", "gate")} for name, pair in fitted.items()
        },
    }
    WEIGHTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _kept(model: Logistic) -> dict[str, object]:
    return {"weights": [round(weight, 4) for weight in model.weights], "bias": round(model.bias, 4)}


if __name__ == "__main__":
    main()
