"""Questions with the passages that answer them, from files that the user gives; none is part of the project.

XQuAD and SQuAD (CC BY-SA 4.0), HotpotQA (CC BY-SA 4.0) and 2WikiMultihopQA (Apache-2.0), as their authors publish them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Given:
    """A passage as the set gives it; `group` is the article that it comes from."""

    title: str
    text: str
    group: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the places of its gold passages in its set, and where in its passage the first answer starts."""

    text: str
    gold: tuple[int, ...]
    answers: tuple[str, ...]
    group: str
    start: int = -1


@dataclass(frozen=True, slots=True)
class Questions:
    name: str
    passages: tuple[Given, ...]
    asked: tuple[Asked, ...]


def squad(path: Path) -> Questions:
    """A file in the layout of SQuAD 1.1; the article's name is the title of its paragraphs."""
    passages: list[Given] = []
    asked: list[Asked] = []
    for article in _read(path)["data"]:
        title = article["title"].replace("_", " ")
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = tuple(dict.fromkeys(answer["text"] for answer in question["answers"]))
                start = question["answers"][0]["answer_start"]
                asked.append(Asked(question["question"], (len(passages),), answers, title, start))
            passages.append(Given(title, paragraph["context"], title))
    return Questions(path.stem, tuple(passages), tuple(asked))


def multihop(questions: Path, corpus: Path) -> Questions:
    """Files in the layout of HotpotQA: a list of questions, and a corpus of {title: sentences}."""
    passages = tuple(Given(title, "".join(sentences), title) for title, sentences in _read(corpus).items())
    places = {passage.title: place for place, passage in enumerate(passages)}
    asked = tuple(
        Asked(
            one["question"],
            tuple(sorted({places[title] for title, _ in one["supporting_facts"] if title in places})),
            (one["answer"],),
            one["_id"],
        )
        for one in _read(questions)
    )
    return Questions(questions.stem, passages, asked)


def distractors(path: Path) -> tuple[Given, ...]:
    """A corpus of {title, text}, in which no question has its answer."""
    return tuple(Given(one["title"], one["text"], "") for one in _read(path))


def part(questions: Questions, limit: int) -> Questions:
    """About `limit` of the questions, spread evenly over all; all for 0."""
    step = max(1, len(questions.asked) // limit) if limit else 1
    return Questions(questions.name, questions.passages, questions.asked[::step][: limit or None])


def folds(groups: Sequence[str], count: int) -> list[set[str]]:
    """The groups dealt out into so many sets, always in the same way."""
    distinct = sorted(set(groups))
    return [set(distinct[start::count]) for start in range(count)]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
