"""`python -m tests.bench.router.record --data FOLDER`: real answers of the edge model, and whether they are right.

FOLDER has XQuAD (`xquad_en*.json`) and NQ-open (`nq_open*.jsonl`). XQuAD is asked with the passage that answers,
NQ-open and simple facts of our own (`facts.jsonl`) without any, in the product's prompts; right is what its scorer
calls so. Appends to build/bench/trust_record.jsonl, which `edgewise train post --labels` reads; a run that broke off
goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from edge import models
from edge.llama.engine import LlamaEngine
from edgewise.types import Chunk, Options, Question, Sampling, Text
from router import prompts
from router.arbiter.labels import FOR_TRUST, Labels, read_labels
from router.compare.questions import read_questions
from router.compare.scorers import Key, contains
from router.config import RouterSettings
from tests.bench.rag.sets import squad

Row = dict[str, Any]
KEPT = Path("build/bench/trust_record.jsonl")
_FACTS = Path(__file__).parent.parent / "facts.jsonl"
_AT_ONCE = 4
_TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class Asked:
    """`group` is the article that a question is about; a question without one is a group of its own."""

    id: str
    set: str
    group: str
    question: str
    accepted: tuple[str, ...]
    facts: tuple[str, ...] = ()


def questions(folder: Path) -> Iterator[Asked]:
    for graded in read_questions(_FACTS):
        yield Asked(f"facts-{graded.id}", "facts", graded.id, graded.text, graded.answers or ())
    for path in sorted(folder.glob("xquad_en*.json")):
        found = squad(path)
        for number, one in enumerate(found.asked):
            passage = found.passages[one.gold[0]]
            yield Asked(f"xquad-{number}", "xquad", one.group, one.text, one.answers, (passage.text,))
    for path in sorted(folder.glob("nq_open*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            row = json.loads(line)
            name = f"nq-{number}"
            yield Asked(name, "nq", name, row["question"].capitalize() + "?", tuple(row["answer"]))


async def answered(engine: LlamaEngine, asked: Asked, samples: int) -> Row:
    """What the model wrote greedily, what it knew of every token, and what it wrote when it drew at random."""
    question = Question(text=asked.question)
    facts = tuple(map(Text.ours, asked.facts))
    prompt = prompts.from_facts(question, facts) if facts else prompts.closed_book(question)
    greedy = Sampling(max_tokens=RouterSettings().max_tokens)

    async def write(sampling: Sampling) -> tuple[list[Chunk], str]:
        chunks: list[Chunk] = []
        async with aclosing(engine.generate(prompt, Options(sampling=sampling))) as parts:
            async for part in parts:
                if not isinstance(part, Chunk):
                    return chunks, part.finish_reason
                chunks.append(part)
        raise RuntimeError("an answer has no end")

    chunks, finish_reason = await write(greedy)
    drawn = [greedy.model_copy(update={"temperature": _TEMPERATURE, "seed": seed}) for seed in range(samples)]
    others = await asyncio.gather(*map(write, drawn))
    return {
        "id": asked.id,
        "set": asked.set,
        "group": asked.group,
        "prompt": asked.question,
        "weak": contains(_text(chunks), Key(asked.accepted)),
        "weak_answer": _text(chunks),
        "finished": finish_reason == "stop",
        "facts": asked.facts,
        "logprobs": [value for chunk in chunks for value in chunk.logprobs],
        "entropies": [value for chunk in chunks for value in chunk.entropies],
        "margins": [value for chunk in chunks for value in chunk.margins],
        "samples": [_text(some) for some, _ in others],
        "prompt_version": prompts.VERSION,
    }


def _text(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def recorded(path: Path = KEPT) -> list[Row]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def graded(path: Path = KEPT) -> Labels:
    """The record, its questions in small letters: NQ-open's are, and no set is to be told by its capitals."""
    found = read_labels([path], FOR_TRUST)
    answers = tuple(replace(answer, question=answer.question.lower()) for answer in found.answers)
    return replace(found, prompts=tuple(answer.question for answer in answers), answers=answers)


async def _record(asked: Sequence[Asked], samples: int, file: TextIO) -> None:
    engine = await LlamaEngine.open(models.locate("smollm2-135m-instruct-q4_1"), parallel=_AT_ONCE)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(one: Asked) -> None:
        async with gate:
            found = await answered(engine, one, samples)
        file.write(json.dumps(found, ensure_ascii=False) + "\n")
        file.flush()

    try:
        async with asyncio.TaskGroup() as group:
            for one in asked:
                group.create_task(ask(one))
    finally:
        await engine.close()


def make(folder: Path, path: Path = KEPT, samples: int = 2, limit: int | None = None) -> None:
    """Asks what is not in the record yet, of each set the first questions up to the limit."""
    asked, known = list(questions(folder)), {row["id"] for row in recorded(path)}
    if limit:
        sets = dict.fromkeys(one.set for one in asked)
        asked = [one for name in sets for one in [each for each in asked if each.set == name][:limit]]
    missing = [one for one in asked if one.id not in known]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        asyncio.run(_record(missing, samples, file))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=2, help="answers drawn at random beside the greedy one")
    parser.add_argument("--limit", type=int, help="only so many questions of each set")
    parser.add_argument("--out", type=Path, default=KEPT)
    arguments = parser.parse_args()
    make(arguments.data, arguments.out, arguments.samples, arguments.limit)
    found = recorded(arguments.out)
    for name in dict.fromkeys(row["set"] for row in found):
        right = [row["weak"] for row in found if row["set"] == name]
        print(f"{name}: {len(right)} answers, {sum(right) / len(right):.1%} right")


if __name__ == "__main__":
    main()
