"""What the embedders of the catalogue find, cost and take here: `python -m tests.bench.embedders FILE...`.

A file has questions in the format of SQuAD, whose paragraphs are what is searched, or of HotpotQA, whose paragraphs
are in the file beside it that ends in `_corpus.json`. Paragraphs are cut as documents are, and one is as near as its
nearest part. Each embedder has a process of its own with one thread. Writes build/bench/embedders.json and prints a
table: recall@5 of each file, milliseconds of processor time, megabytes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edge import models
from edge.embedder import EMBEDDERS, Embedder
from edge.ingest.chunking import split
from edge.ingest.ingester import passage_tokens

_K = 5
_PASSAGE_TOKENS = 150
_TIMED = 100
_TEXT = (
    "The pump of the heating stands in the cellar. It is switched off at the red lever beside the door, and the valve "
    "below it is closed by hand. After a minute the pressure has to be below one bar; if it is not, call the plumber. "
)

Questions = list[tuple[str, frozenset[int]]]
"""What is asked, and which paragraphs have the answer."""


def read(path: Path) -> tuple[list[str], Questions]:
    """The paragraphs and the questions of a file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        paragraphs = [paragraph for article in content["data"] for paragraph in article["paragraphs"]]
        asked = [(each["question"], frozenset((n,))) for n, of in enumerate(paragraphs) for each in of["qas"]]
        return [paragraph["context"] for paragraph in paragraphs], asked
    corpus = json.loads(path.with_name(f"{path.stem}_corpus.json").read_text(encoding="utf-8"))
    place = {title: number for number, title in enumerate(corpus)}
    return [f"{title}\n{''.join(sentences)}" for title, sentences in corpus.items()], [
        (each["question"], frozenset(place[title] for title, _ in each["supporting_facts"])) for each in content
    ]


async def recall(embedder: Embedder, paragraphs: list[str], questions: Questions) -> float:
    """The share of the paragraphs with an answer that are among the nearest five."""
    parts = [
        (number, part)
        for number, text in enumerate(paragraphs)
        for part in split(text, embedder.count_tokens, passage_tokens(embedder))
    ]
    matrix = await embedder.embed_passages([part for _, part in parts])
    asked = await embedder.embed_queries([question for question, _ in questions])
    found = []
    for vector, (_, wanted) in zip(asked, questions, strict=True):
        order = (parts[row][0] for row in np.argsort(matrix @ -vector))
        nearest = list(dict.fromkeys(order))[:_K]
        found.append(len(wanted.intersection(nearest)) / len(wanted))
    return statistics.fmean(found)


async def measure(name: str, files: list[Path]) -> dict[str, Any]:
    """Of one embedder, in this process."""
    embedder = Embedder.open(name)
    passage = _text(embedder, _PASSAGE_TOKENS)
    await embedder.embed_passages([passage])
    resident = _resident_mb()
    directory = models.locate(name)
    return {
        "resident_mb": resident,
        "disk_mb": round(sum(path.stat().st_size for path in directory.iterdir()) / 1e6),
        "query_ms": await _milliseconds(embedder, "How do I switch off the pump of the heating in the cellar?"),
        "passage_ms": await _milliseconds(embedder, passage),
        **{path.stem: round(await recall(embedder, *read(path)), 3) for path in files},
    }


async def _milliseconds(embedder: Embedder, text: str) -> float:
    took = []
    for _ in range(_TIMED):
        began = time.process_time()
        await embedder.embed_passages([text])
        took.append(time.process_time() - began)
    return round(statistics.median(took) * 1000, 1)


def _resident_mb() -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found
    return round(int(found[1]) * 1024 / 1e6)


def _text(embedder: Embedder, tokens: int) -> str:
    words = (_TEXT * 10).split()
    while embedder.count_tokens(" ".join(words)) > tokens:
        words.pop()
    return " ".join(words)


def _table(results: dict[str, dict[str, Any]]) -> Iterable[str]:
    columns = list(next(iter(results.values())))
    yield f"| | {' | '.join(columns)} |"
    yield f"|---|{'---|' * len(columns)}"
    for name, found in results.items():
        yield f"| `{name}` | {' | '.join(str(found[column]) for column in columns)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--only", choices=list(EMBEDDERS), help="In this process, as JSON.")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(asyncio.run(measure(options.only, options.files))))
        return
    results = {}
    for name in EMBEDDERS:
        command = [sys.executable, "-m", "tests.bench.embedders", *map(str, options.files), "--only", name]
        results[name] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    target = Path("build") / "bench" / "embedders.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(_table(results)))


if __name__ == "__main__":
    main()
