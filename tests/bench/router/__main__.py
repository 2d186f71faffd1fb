"""`python -m tests.bench.router`: how well questions are sent to the cloud before anything is written.

--data FOLDER takes a folder with routellm_mmlu/*.csv and routellm_gsm8k*.csv (github.com/lm-sys/RouteLLM) and
paretobandit*.jsonl (github.com/ParetoBandit/ParetoBandit), and writes build/bench/router.json. Every table shows the
simple routers beside ours, with intervals and with the difference to the best of them, paired by question.

--train FILE... --test FILE... learns from some files and is scored on others, in the layout of RouteLLM or in that of
`router/arbiter/labels.py`, and prints the same figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edge.embedder import EMBEDDERS, Embedder
from edge.models import MINILM
from router.arbiter.labels import Labels
from router.arbiter.metrics import Floats
from router.arbiter.training import fit_ensemble
from tests.bench import results
from tests.bench.router.baselines import BASELINES, Known, Router
from tests.bench.router.sets import labels, pareto
from tests.bench.router.tables import Row, across, crossed, few, rows
from tests.bench.router.vectors import embedded

_FEW = 1500
_SPLITS = 20


def ours(learned: Known, scored: Known) -> Floats:
    trained = fit_ensemble(learned.labels, learned.vectors, "")
    pairs = zip(scored.labels.prompts, scored.vectors, strict=True)
    return np.array([trained.of(prompt, vector).gain for prompt, vector in pairs])


ROUTERS: Mapping[str, Router] = {**BASELINES, "ours": ours}
_WITHOUT_PRIOR = {name: router for name, router in ROUTERS.items() if name != "prior"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--train", type=Path, nargs="+")
    parser.add_argument("--test", type=Path, nargs="+")
    parser.add_argument("--embedder", choices=tuple(EMBEDDERS), default=MINILM.name)
    parser.add_argument("--resamples", type=int, default=1000, help="of every interval")
    parser.add_argument("--out", type=Path, default=Path("build/bench/router.json"))
    arguments = parser.parse_args()
    if bool(arguments.train) != bool(arguments.test) or not (arguments.data or arguments.train):
        parser.error("give --data, or --train and --test")
    embedder = Embedder.open(arguments.embedder)

    def known(some: Labels) -> Known:
        return Known(some, asyncio.run(embedded(embedder, some.prompts)))

    try:
        if arguments.data:
            found = _tables(arguments.data, known, arguments.resamples)
            results.write(arguments.out, "router", found, summary(found), arguments)
        else:
            learned, scored = known(labels(arguments.train)), known(labels(arguments.test))
            scores = {name: router(learned, scored) for name, router in _fitting(learned, scored).items()}
            print(json.dumps(rows(scores, scored.labels.outcomes, arguments.resamples), indent=1))
    finally:
        embedder.close()


def _tables(folder: Path, known: Callable[[Labels], Known], resamples: int) -> list[Row]:
    mmlu = known(labels(sorted((folder / "routellm_mmlu").glob("*.csv"))))
    grade_school = known(labels(sorted(folder.glob("routellm_gsm8k*.csv"))))
    bandit = next(iter(sorted(folder.glob("paretobandit*.jsonl"))))
    found: list[Row] = []

    def add(table: str, asked: Known, scores: Mapping[str, Floats]) -> None:
        found.extend({"table": table} | row for row in rows(scores, asked.labels.outcomes, resamples))
        print(f"measured {table}", flush=True)

    add("mmlu_5fold", mmlu, {name: crossed(mmlu, router) for name, router in _fitting(mmlu).items()})
    add("mmlu_1500", mmlu, {name: few(mmlu, router, _FEW) for name, router in _fitting(mmlu).items()})
    found.extend({"table": "mmlu_across"} | row for row in across(mmlu, _WITHOUT_PRIOR, _SPLITS))
    print("measured mmlu_across", flush=True)
    add("gsm8k_pre", grade_school, {name: crossed(grade_school, one) for name, one in _fitting(grade_school).items()})
    for strong in ("gemini", "mistral"):
        asked = known(pareto(bandit, strong))
        add(f"pareto_{strong}", asked, {name: crossed(asked, router) for name, router in _fitting(asked).items()})
    return found


def _fitting(*asked: Known) -> Mapping[str, Router]:
    """Those that these questions can be asked of: without several groups there is no prior of groups."""
    return ROUTERS if all(len(set(one.labels.groups)) > 1 for one in asked) else _WITHOUT_PRIOR


def summary(found: Sequence[Row]) -> dict[str, float | None]:
    """The figures that the documents quote; None for what was not measured."""

    def of(table: str, figure: Callable[[Row], float]) -> float | None:
        return next((figure(row) for row in found if row["table"] == table and row["router"] == "ours"), None)

    def area(row: Row) -> float:
        return float(row["apgr"]["value"])

    return {
        **{
            f"{table}.apgr": of(table, area)
            for table in ("mmlu_5fold", "mmlu_1500", "mmlu_across", "gsm8k_pre", "pareto_gemini", "pareto_mistral")
        },
        "mmlu_across.minus_length_lo": of("mmlu_across", lambda row: float(row["minus_length"]["lo"])),
    }


if __name__ == "__main__":
    main()
