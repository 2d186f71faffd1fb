"""Graded questions from files that the user gives; none is part of the project.

RouteLLM's records of MMLU and GSM8K (github.com/lm-sys/RouteLLM, Apache-2.0), ParetoBandit's
(github.com/ParetoBandit/ParetoBandit, Apache-2.0), and any file that `edgewise train` reads.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from router.arbiter.labels import Labels, read_labels
from router.arbiter.metrics import Floats, Outcomes

_WEAK, _STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
_ARMS = (
    "meta-llama/llama-3.1-8b-instruct",
    {
        "gemini": "google/gemini-2.5-pro",
        "mistral": "mistralai/mistral-large-2512",
    },
)


def labels(paths: Sequence[Path]) -> Labels:
    """Of files in any of these layouts, all in the same one."""
    with paths[0].open(encoding="utf-8", newline="") as file:
        is_routellm = paths[0].suffix == ".csv" and _WEAK in file.readline()
    return routellm(paths) if is_routellm else read_labels(paths)


def routellm(paths: Sequence[Path]) -> Labels:
    """CSV files of prompts and whether Mixtral and GPT-4 were right; the name of a file is the group of its prompts."""
    prompts: list[str] = []
    right: list[tuple[bool, bool]] = []
    groups: list[str] = []
    answers: list[str] = []
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                prompts.append(row["prompt"])
                right.append((row[_WEAK] == "True", row[_STRONG] == "True"))
                groups.append(path.stem)
                answers.append(row.get(f"{_WEAK}_response") or "")
    weak, strong = np.array(right, np.float64).T
    return Labels(tuple(prompts), Outcomes(weak, strong), tuple(answers) if any(answers) else (), tuple(groups))


def pareto(path: Path, strong: str) -> Labels:
    """Rewards and costs of Llama-3.1-8B and of `gemini` or `mistral` on the same prompts; groups are their sources."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    weak, other = _ARMS[0], _ARMS[1][strong]

    def of(arm: str, figure: str) -> Floats:
        return np.array([row["arms"][arm][figure] for row in rows], np.float64)

    outcomes = Outcomes(of(weak, "reward"), of(other, "reward"), of(weak, "cost"), of(other, "cost"))
    prompts, groups = (tuple(row[name] for row in rows) for name in ("prompt", "source"))
    return Labels(prompts, outcomes, (), groups)
