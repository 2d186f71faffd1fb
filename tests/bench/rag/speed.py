"""How long a query takes, how fast files become passages, and what a large library weighs.

`python -m tests.bench.rag.speed STORE PASSAGES` is the child whose memory is measured: a library of synthetic passages
(sentences in random order, random vectors), an embedder, and queries.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from edge.config import StoreName
from edge.embedder import Embedder
from edge.holdings import Library
from edge.ingest.ingester import Ingester
from edge.ingest.watcher import Watcher
from edge.retriever import Retriever
from edge.store import Stored, Vectors, passage_id
from edgewise.types import Privacy, Query, Text, Upload
from tests.bench.engine import machine
from tests.bench.rag.filled import document_of
from tests.bench.rag.sets import Asked, Given, distractors

_BATCH = 1000
_QUERIES = 200
_SENTENCES = 5


async def query_ms(retriever: Retriever, asked: Sequence[Asked]) -> list[float]:
    """Milliseconds of each query, embedding included, one after the other."""
    times: list[float] = []
    for one in asked[:_QUERIES]:
        started = time.perf_counter()
        await retriever.retrieve(Query(text=Text(value=one.text), k=4))
        times.append((time.perf_counter() - started) * 1000)
    return times


async def ingested_per_s(embedder: Embedder, given: Sequence[Given], directory: Path) -> dict[str, object]:
    """Passages a second of processor time, and of the clock, for text files of one article each."""
    library = await Library.open(directory, "chroma", embedder.model_hash, embedder.dimension)
    try:
        ingester = Ingester(embedder, library, 1 << 26)
        started, worked = time.perf_counter(), time.process_time()
        for place, passage in enumerate(given):
            await ingester.ingest(Upload(source=f"{place}.md", data=f"# {passage.title}\n\n{passage.text}".encode()))
        seconds, work = time.perf_counter() - started, time.process_time() - worked
        _, passages = await library.counts()
    finally:
        await library.close()
    return {"passages": passages, "per_s": passages / seconds, "per_core_s": passages / work}


async def watched_s(embedder: Embedder, given: Sequence[Given], directory: Path) -> dict[str, object]:
    """Seconds from the writing of a file in a watched folder until a search finds it, one file after the other."""
    folder = directory / "watched"
    folder.mkdir(parents=True)
    library = await Library.open(directory, "chroma", embedder.model_hash, embedder.dimension)
    watcher = Watcher([folder], Ingester(embedder, library, 1 << 26), library, "default", Privacy.UNKNOWN)
    watching, retriever = asyncio.create_task(watcher.run()), Retriever(embedder, library)
    try:
        times: list[float] = []
        for place, passage in enumerate(given):
            path = folder / f"{place}.txt"
            started = time.perf_counter()
            path.write_text(passage.text, encoding="utf-8")
            await _found(retriever, path, passage.title)
            times.append(time.perf_counter() - started)
    finally:
        watching.cancel()
        await asyncio.wait((watching,))
        await library.close()
    return {"files": len(times), "p50_s": statistics.median(times), "max_s": max(times)}


async def _found(retriever: Retriever, path: Path, text: str) -> None:
    query = Query(text=Text(value=text), source=str(path), k=1)
    while not (await retriever.retrieve(query)).passages:  # noqa: ASYNC110 - nothing else says it
        await asyncio.sleep(0.01)


def percentiles(times: Sequence[float]) -> dict[str, object]:
    """Of milliseconds."""
    return {"p50_ms": statistics.median(times), "p95_ms": statistics.quantiles(times, n=20)[-1]}


def large(
    store: StoreName, passages: int, given: Sequence[Given], asked: Sequence[Asked], folder: Path
) -> dict[str, object]:
    """What a child with so many passages, made of the sentences of others, measures of itself."""
    texts, queries = folder / "texts.json", folder / "queries.txt"
    texts.write_text(json.dumps([{"title": one.title, "text": one.text} for one in given]), encoding="utf-8")
    queries.write_text("\n".join(one.text.replace("\n", " ") for one in asked[:_QUERIES]), encoding="utf-8")
    command = [sys.executable, "-m", "tests.bench.rag.speed", store, str(passages), str(texts), str(queries)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return measured


async def _fill(directory: Path, store: StoreName, passages: int, corpus: Sequence[Given]) -> None:
    """In a process of its own, so that what filling takes does not count."""
    sentences = [part for one in corpus for part in re.split(r"(?<=[.]) ", one.text)]
    chance, numbers = random.Random(0), np.random.default_rng(0)
    embedder = Embedder.open()
    library = await Library.open(directory, store, embedder.model_hash, embedder.dimension)
    for start in range(0, passages, _BATCH):
        count = min(_BATCH, passages - start)
        document = document_of(f"synthetic{start}", count)
        stored = [
            Stored(
                passage_id(document.id, place),
                chance.choice(corpus).title,
                " ".join(chance.choices(sentences, k=_SENTENCES)),
            )
            for place in range(count)
        ]
        await library.begin(document)
        await library.extend(document, stored, _random(numbers, count, embedder.dimension))
        await library.commit(document)
    await library.close()
    embedder.close()


async def _measure(directory: Path, store: StoreName, lines: Sequence[str]) -> dict[str, float]:
    embedder = await asyncio.to_thread(Embedder.open)
    started = time.perf_counter()
    library = await Library.open(directory, store, embedder.model_hash, embedder.dimension)
    opened = time.perf_counter() - started
    times = await query_ms(Retriever(embedder, library), [Asked(line, (), (), "") for line in lines])
    memory = machine.memory([os.getpid()])
    await library.close()
    embedder.close()
    return {
        "open_s": opened,
        "query_p50_ms": statistics.median(times),
        "query_p95_ms": statistics.quantiles(times, n=20)[-1],
        "rss_mb": memory.rss_mb if memory else 0.0,
    }


def _random(numbers: np.random.Generator, rows: int, width: int) -> Vectors:
    vectors = numbers.standard_normal((rows, width), dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def main() -> None:
    given, passages, texts, queries, *filled = sys.argv[1:]
    store = cast("StoreName", given)
    if filled:
        asyncio.run(_fill(Path(filled[0]), store, int(passages), distractors(Path(texts))))
        return
    lines = Path(queries).read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "tests.bench.rag.speed", *sys.argv[1:], directory]
        subprocess.run(command, check=True)
        print(json.dumps(asyncio.run(_measure(Path(directory), store, lines))))


if __name__ == "__main__":
    main()
