"""Graded questions from files that the user gives; none is part of the project.

RouteLLM's records of MMLU and GSM8K (github.com/lm-sys/RouteLLM, Apache-2.0), ParetoBandit's
(github.com/ParetoBandit/ParetoBandit, Apache-2.0), OpenAI's answers to GSM8K (github.com/openai/grade-school-math,
MIT), and any file that `edgewise train` reads. Costs are notional but for ParetoBandit's, which are as it has them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from router.arbiter.answers import Answer
from router.arbiter.labels import FOR_GAIN, Labels, read_labels
from router.arbiter.metrics import Floats, Outcomes

_WEAK, _STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
_ARMS = (
    "meta-llama/llama-3.1-8b-instruct",
    {
        "gemini": "google/gemini-2.5-pro",
        "mistral": "mistralai/mistral-large-2512",
    },
)


_LETTERS_A_TOKEN = 4
# USD a million tokens, prompt and answer: list prices of 2024 of a hosted Mixtral-8x7B and of GPT-4-1106.
_PRICES = ((0.6, 0.6), (10.0, 30.0))
_BY_SIZE = ((6.0, 6.0), (175.0, 175.0))  # as many USD as there are billions of parameters: no price, but a ratio


def labels(paths: Sequence[Path], needed: Sequence[str] = FOR_GAIN) -> Labels:
    """Of files in any of these layouts, all in the same one."""
    with paths[0].open(encoding="utf-8", newline="") as file:
        is_routellm = paths[0].suffix == ".csv" and _WEAK in file.readline()
    return routellm(paths) if is_routellm else read_labels(paths, needed)


def routellm(paths: Sequence[Path]) -> Labels:
    """CSV files of prompts and whether Mixtral and GPT-4 were right; the name of a file is the group of its prompts."""
    prompts: list[str] = []
    right: list[tuple[bool, bool]] = []
    groups: list[str] = []
    answers: list[tuple[str, str]] = []
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                prompts.append(row["prompt"])
                right.append((row[_WEAK] == "True", row[_STRONG] == "True"))
                groups.append(path.stem)
                answers.append((row.get(f"{_WEAK}_response") or "", row.get(f"{_STRONG}_response") or ""))
    weak, strong = np.array(right, np.float64).T
    if not all(answer for answer, _ in answers):
        return Labels(tuple(prompts), Outcomes(weak, strong), (), tuple(groups))
    return _answered(prompts, answers, (weak, strong), _PRICES, tuple(groups))


def openai(path: Path) -> Labels:
    """What a 6B model wrote to GSM8K, and the best of a hundred answers of a 175B model."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    sides = [[row[name] for row in rows] for name in ("6b_finetuning", "175b_verification")]
    weak, strong = np.array([[one["is_correct"] for one in side] for side in sides], np.float64)
    answers = list(zip(*([one["solution"] for one in side] for side in sides), strict=True))
    return _answered([row["question"] for row in rows], answers, (weak, strong), _BY_SIZE, ())


def _answered(
    prompts: Sequence[str],
    answers: Sequence[tuple[str, str]],
    right: tuple[Floats, Floats],
    prices: tuple[tuple[float, float], tuple[float, float]],
    groups: tuple[str, ...],
) -> Labels:
    """With the answers of both sides, and what they cost by their lengths."""
    costs = [
        np.array([
            (len(prompt) * of_prompt + len(answer[side]) * of_answer) / _LETTERS_A_TOKEN / 1e6
            for prompt, answer in zip(prompts, answers, strict=True)
        ])
        for side, (of_prompt, of_answer) in enumerate(prices)
    ]  # fmt: skip
    drafts = tuple(Answer(prompt, answer) for prompt, (answer, _) in zip(prompts, answers, strict=True))
    return Labels(tuple(prompts), Outcomes(*right, *costs), drafts, groups)


def pareto(path: Path, strong: str) -> Labels:
    """Rewards and costs of Llama-3.1-8B and of `gemini` or `mistral` on the same prompts; groups are their sources."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    weak, other = _ARMS[0], _ARMS[1][strong]

    def of(arm: str, figure: str) -> Floats:
        return np.array([row["arms"][arm][figure] for row in rows], np.float64)

    outcomes = Outcomes(of(weak, "reward"), of(other, "reward"), of(weak, "cost"), of(other, "cost"))
    prompts, groups = (tuple(row[name] for row in rows) for name in ("prompt", "source"))
    return Labels(prompts, outcomes, (), groups)
