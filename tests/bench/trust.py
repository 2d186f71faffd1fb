"""Fits the trust model: P(correct) of the edge's closed-book answers from their mean log-probability.

    python -m tests.bench.trust [--nq FILE] [--limit N]

Half of the questions are simple facts of our own (`facts.jsonl`), half are from NQ-open if its file is given (JSON
lines of `question` and `answer`; google-research-datasets/natural-questions has it). Writes build/bench/trust.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge import models
from edge.llama.engine import LlamaEngine
from edgewise.types import Chunk, Options, Question, Sampling
from router import prompts
from router.compare.questions import Graded, Said, read_questions
from router.config import RouterSettings

_HERE = Path(__file__).parent


def questions(nq: Path | None, limit: int) -> Iterator[Graded]:
    yield from read_questions(_HERE / "facts.jsonl")[:limit]
    if nq is None:
        return
    for number, line in enumerate(nq.read_text(encoding="utf-8").splitlines()[:limit]):
        row = json.loads(line)
        asked = (Said(text=row["question"].capitalize() + "?"),)
        yield Graded(id=f"nq-{number}", turns=asked, answers=tuple(row["answer"]))


async def measure(asked: list[Graded]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean log-probability and correctness (0 or 1) of every answer."""
    engine = await LlamaEngine.open(models.locate("smollm2-135m-instruct-q4_1"))
    options = Options(sampling=Sampling(max_tokens=RouterSettings().max_tokens))
    means, right = [], []
    for graded in asked:
        parts = [part async for part in engine.generate(prompts.closed_book(Question(text=graded.text)), options)]
        chunks = [part for part in parts if isinstance(part, Chunk)]
        logprobs = [logprob for chunk in chunks for logprob in chunk.logprobs]
        means.append(sum(logprobs) / len(logprobs))
        right.append(graded.score("".join(chunk.text for chunk in chunks), None))
    await engine.close()
    return np.array(means), np.array(right)


def platt(means: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset of the sigmoid, by Newton's method with Platt's smoothed targets (Platt 1999)."""
    good, bad = right.sum(), len(right) - right.sum()
    target = np.where(right > 0, (good + 1) / (good + 2), 1 / (bad + 2))
    inputs = np.column_stack([means, np.ones_like(means)])
    weights = np.zeros(2)
    for _ in range(50):
        predicted = 1 / (1 + np.exp(-inputs @ weights))
        curvature = inputs.T @ (inputs * (predicted * (1 - predicted))[:, None]) + 1e-9 * np.eye(2)
        weights += np.linalg.solve(curvature, inputs.T @ (target - predicted))
    return float(weights[0]), float(weights[1])


def auroc(scores: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """The probability that a right answer scores above a wrong one, ties counted half."""
    good, bad = scores[right > 0], scores[right == 0]
    return float(np.mean((good[:, None] > bad) + 0.5 * (good[:, None] == bad)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nq", type=Path)
    parser.add_argument("--limit", type=int, default=100)
    arguments = parser.parse_args()
    asked = list(questions(arguments.nq, arguments.limit))
    means, right = asyncio.run(measure(asked))
    slope, offset = platt(means, right)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    result = {
        "name": "trust",
        "commit": commit.stdout.strip(),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "settings": {"questions": len(asked), "prompts": prompts.VERSION},
        "rows": [
            {"id": graded.id, "mean_logprob": mean, "right": score}
            for graded, mean, score in zip(asked, means.tolist(), right.tolist(), strict=True)
        ],
        "summary": {"accuracy": float(right.mean()), "auroc": auroc(means, right), "slope": slope, "offset": offset},
    }
    out = Path("build/bench/trust.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["summary"]))


if __name__ == "__main__":
    main()
