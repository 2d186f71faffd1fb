"""`python -m tests.bench.rag`: retrieval, the no-answer gate, answers and speed, on sets that you give.

--data FOLDER takes a folder with xquad_en*.json, xquad_zh*.json, 2wikimultihopqa_corpus.json, and hotpotqa_*.json with
its *_corpus.json, as their authors publish them (github.com/google-deepmind/xquad, github.com/OSU-NLP-Group/HippoRAG),
and measures all. Or give files: --squad FILE with --corpus FILE of distractors, or --multihop QUESTIONS CORPUS.

Writes build/bench/rag.json; --markdown prints the tables of edge/README.md from it. Questions that the shipped weights
were fitted on are ranked and refused with weights fitted on the other articles, and the row says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from edge.embedder import EMBEDDERS
from edge.models import E5, MINILM
from tests.bench import results
from tests.bench.rag.bench import ARMS, Bench
from tests.bench.rag.report import markdown, summary
from tests.bench.rag.sets import distractors, multihop, squad

_LARGE = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--squad", type=Path)
    parser.add_argument("--corpus", type=Path, action="append", default=[])
    parser.add_argument("--multihop", type=Path, nargs=2, metavar=("QUESTIONS", "CORPUS"))
    parser.add_argument("--arm", choices=ARMS, action="append", help="default: all")
    parser.add_argument("--embedder", choices=tuple(EMBEDDERS), default=MINILM.name)
    parser.add_argument("--limit", type=int, default=0, help="so many questions of each set; 0 is all")
    parser.add_argument("--passages", type=int, default=_LARGE, help="of the large library of the speed arm")
    parser.add_argument("--out", type=Path, default=Path("build/bench/rag.json"))
    parser.add_argument("--markdown", action="store_true", help="print the tables of the last run, and run nothing")
    arguments = parser.parse_args()
    if arguments.markdown:
        print(markdown(json.loads(arguments.out.read_text(encoding="utf-8"))))
        return
    if not (arguments.data or arguments.squad or arguments.multihop):
        parser.error("give --data, --squad or --multihop")
    bench = Bench(tuple(arguments.arm or ARMS), arguments.limit)
    try:
        asyncio.run(_run(bench, arguments))
    finally:
        bench.close()
        # What was measured before something broke off is kept.
        results.write(arguments.out, "rag", bench.rows, summary(bench.rows), arguments)


async def _run(bench: Bench, arguments: argparse.Namespace) -> None:
    if arguments.data:
        await _all(bench, arguments.data, arguments.passages)
        return
    if arguments.squad:
        others = [passage for path in arguments.corpus for passage in distractors(path)]
        await bench.measure(
            squad(arguments.squad), others, arguments.embedder, seen=bench.has_seen(arguments.squad), answers=True
        )
    if arguments.multihop:
        seen = bench.has_seen(arguments.multihop[0])
        await bench.measure(multihop(*arguments.multihop), (), arguments.embedder, seen=seen, answers=True)


async def _all(bench: Bench, folder: Path, passages: int) -> None:
    english, chinese = (_one(folder, f"xquad_{language}*.json") for language in ("en", "zh"))
    corpus = _one(folder, "2wikimultihopqa_corpus.json")
    hops_corpus = _one(folder, "hotpotqa_*_corpus.json")
    hops = hops_corpus.with_name(hops_corpus.name.replace("_corpus", ""))
    others = distractors(corpus)
    await bench.measure(squad(english), others, MINILM.name, seen=bench.has_seen(english), answers=True)
    await bench.measure(multihop(hops, hops_corpus), (), MINILM.name, seen=bench.has_seen(hops), answers=True)
    for embedder in (MINILM.name, E5.name):
        await bench.measure(squad(chinese), (), embedder, seen=bench.has_seen(chinese))
        await bench.measure(squad(chinese), (), embedder, seen=bench.has_seen(chinese), traditional=True)
    await bench.measure(squad(english), others, E5.name, seen=bench.has_seen(english))
    await bench.measure(multihop(hops, hops_corpus), (), E5.name, seen=bench.has_seen(hops))
    await bench.sizes(others, squad(english), passages)


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise SystemExit(f"{folder} has no {pattern}")
    return found[0]


if __name__ == "__main__":
    main()
