"""`python -m tests.bench.router`: how well questions are sent to the cloud, before and after an answer is written.

--data FOLDER takes a folder with routellm_mmlu/*.csv and routellm_gsm8k*.csv (github.com/lm-sys/RouteLLM),
paretobandit*.jsonl (github.com/ParetoBandit/ParetoBandit) and openai_gsm8k*.jsonl
(github.com/openai/grade-school-math). Trust is measured on real answers of the edge model: --record is a file of
`python -m tests.bench.router.record`, which is made first if it is not there and a folder `rag` is beside FOLDER.
Writes build/bench/router.json; --markdown prints the tables of router/arbiter/README.md from it. Every table shows the
simple routers beside ours, with intervals and with the difference to the best of them, paired by question.

--train FILE... --test FILE... learns from some files and is scored on others, in the layout of RouteLLM or in that of
`router/arbiter/labels.py`, and prints the same figures; --post learns from the answers in them, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from edge.embedder import EMBEDDERS, Embedder
from edge.models import MINILM
from edgewise.errors import InvalidInput
from router.arbiter.features import surface
from router.arbiter.labels import FOR_GAIN, Labels
from router.arbiter.metrics import Floats
from router.arbiter.training import fit_gain
from tests.bench import results
from tests.bench.router import post, speed
from tests.bench.router.baselines import BASELINES, Known, Router, folds
from tests.bench.router.post import JUDGES, Written
from tests.bench.router.record import KEPT, graded, make
from tests.bench.router.report import markdown, summary
from tests.bench.router.sets import labels, openai, pareto
from tests.bench.router.tables import Row, across, crossed, few, rows
from tests.bench.router.vectors import embedded

_FEW = 1500
_SPLITS = 20
_RATIOS = (0.0, 0.1, 0.3)


def ours(learned: Known, scored: Known) -> Floats:
    trained = fit_gain(learned.labels, learned.vectors, "")
    pairs = zip(scored.labels.prompts, scored.vectors, strict=True)
    return np.array([trained.of(prompt, np.array(surface(prompt)), vector).value for prompt, vector in pairs])


ROUTERS: Mapping[str, Router] = {**BASELINES, "ours": ours}
_WITHOUT_PRIOR = {name: router for name, router in ROUTERS.items() if name != "prior"}


class Bench:
    """`embedder` makes the vectors of all tables."""

    def __init__(self, embedder: Embedder, resamples: int) -> None:
        self._embedder = embedder
        self._resamples = resamples

    def known(self, some: Labels) -> Known:
        return Known(some, asyncio.run(embedded(self._embedder, some.prompts)))

    def written(self, some: Labels) -> Written:
        if not some.answers:
            raise InvalidInput("these labels have no weak_answer in every row: there is no answer to judge")
        answers = [answer.text.strip() or "." for answer in some.answers]
        return Written(some, self.known(some).vectors, asyncio.run(embedded(self._embedder, answers)))

    def trained(self, train: Labels, test: Labels) -> list[Row]:
        learned, scored = self.known(train), self.known(test)
        scores = {name: router(learned, scored) for name, router in _fitting(learned, scored).items()}
        return rows(scores, test.outcomes, self._resamples)

    def trained_after(self, train: Labels, test: Labels) -> list[Row]:
        learned, scored = self.written(train), self.written(test)
        scores = {name: judge(learned, scored) for name, judge in JUDGES.items()}
        return rows(scores, test.outcomes, self._resamples)

    def tables(self, folder: Path, record: Path) -> Iterator[tuple[str, list[Row]]]:
        mmlu = self.known(labels(sorted((folder / "routellm_mmlu").glob("*.csv"))))
        sums = labels(sorted(folder.glob("routellm_gsm8k*.csv")))
        bandit, sizes = (next(iter(sorted(folder.glob(name)))) for name in ("paretobandit*.jsonl", "openai*.jsonl"))
        yield "mmlu_5fold", self._crossed(mmlu)
        yield "mmlu_1500", self._crossed(mmlu, lambda asked, router: few(asked, router, _FEW))
        yield "mmlu_across", across(mmlu, _WITHOUT_PRIOR, _SPLITS)
        yield "gsm8k_pre", self._crossed(self.known(sums))
        for strong in ("gemini", "mistral"):
            yield f"pareto_{strong}", self._crossed(self.known(pareto(bandit, strong)))
        written = self.written(sums)
        parts = folds(len(written), 5)
        scores = {name: post.crossed(written, judge, parts) for name, judge in JUDGES.items()}
        yield "gsm8k_post", rows(scores, sums.outcomes, self._resamples)
        yield "cascade_gsm8k", post.spending(written, _RATIOS, self._resamples)
        yield "cascade_openai", post.spending(self.written(openai(sizes)), _RATIOS, self._resamples)
        if not record.exists() and (folder.parent / "rag").is_dir():
            make(folder.parent / "rag", record)
        if record.exists():
            kept = self.written(graded(record))
            sets = [json.loads(line)["set"] for line in record.read_text(encoding="utf-8").split("\n") if line]
            yield "edge_trust", post.calibration(kept, sets, self._resamples)
        yield "speed", speed.measured(self._embedder, mmlu)

    def _crossed(self, asked: Known, way: Callable[[Known, Router], Floats] = crossed) -> list[Row]:
        scores = {name: way(asked, router) for name, router in _fitting(asked).items()}
        return rows(scores, asked.labels.outcomes, self._resamples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--record", type=Path, default=KEPT)
    parser.add_argument("--train", type=Path, nargs="+")
    parser.add_argument("--test", type=Path, nargs="+")
    parser.add_argument("--post", action="store_true", help="judge the weak side's answers, too")
    parser.add_argument("--embedder", choices=tuple(EMBEDDERS), default=MINILM.name)
    parser.add_argument("--resamples", type=int, default=1000, help="of every interval")
    parser.add_argument("--out", type=Path, default=Path("build/bench/router.json"))
    parser.add_argument("--markdown", action="store_true", help="print the tables of the last run, and run nothing")
    arguments = parser.parse_args()
    if arguments.markdown:
        print(markdown(json.loads(arguments.out.read_text(encoding="utf-8"))))
        return
    if bool(arguments.train) != bool(arguments.test) or not (arguments.data or arguments.train):
        parser.error("give --data, or --train and --test")
    embedder = Embedder.open(arguments.embedder)
    bench = Bench(embedder, arguments.resamples)
    try:
        if arguments.data:
            found: list[Row] = []
            for table, some in bench.tables(arguments.data, arguments.record):
                found += [{"table": table} | row for row in some]
                results.write(arguments.out, "router", found, summary(found), arguments)
                print(f"measured {table}", flush=True)
        else:
            needed = (*FOR_GAIN, "weak_answer") if arguments.post else FOR_GAIN
            train, test = (labels(paths, needed) for paths in (arguments.train, arguments.test))
            way = bench.trained_after if arguments.post else bench.trained
            print(json.dumps(way(train, test), indent=1))
    finally:
        embedder.close()


def _fitting(*asked: Known) -> Mapping[str, Router]:
    """Those that these questions can be asked of: without several groups there is no prior of groups."""
    return ROUTERS if all(len(set(one.labels.groups)) > 1 for one in asked) else _WITHOUT_PRIOR


if __name__ == "__main__":
    main()
