"""What can be seen of an answer without knowing the right one: its form, how sure its tokens were, what supports it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from router.arbiter import features
from router.arbiter.overlap import agreement, content_words, groundedness
from router.arithmetic import evaluate

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_EQUATION = re.compile(
    r"((?:[\d.,$()]{1,20}%?\s{0,2}[-+*/x×÷]\s{0,2}){1,8}[\d.,$()]{1,20})\s{0,2}=\s{0,2}(?:<<[^<>]{0,60}>>)?\s{0,2}"
    r"\$?(-?\d[\d,]{0,20}(?:\.\d{1,20})?)"
)
_WORKED_OUT = re.compile(r"<<([^<>=]{1,60})=(-?[\d.,]{1,20})>>")
_MARK = re.compile(r"####|\b(?:the )?answer(?: is|:)|^A:", re.IGNORECASE | re.MULTILINE)
_HEDGES = re.compile(
    r"\b(?:i (?:do not|don['’]t|cannot|can['’]t|am not|['’]m not)|as an ai|unknown"
    r"|not (?:known|mentioned|specified|clear|sure)|no information|unable|however|perhaps|maybe|might|possibly)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|[。！？\n]")
_WANTS_NUMBER = re.compile(
    r"\b(?:how (?:many|much|old|long|far|tall|big|large|often)|when|what (?:year|date|number|percent|age|time|day|month"
    r"|century|decade)|in which year|which (?:year|century))\b",
    re.IGNORECASE,
)
_WANTS_NAME = re.compile(r"\b(?:who|whom|whose|where|which (?:city|country|state|person|team))\b", re.IGNORECASE)
_SURE = math.log(0.9)
_CLOSE = 0.01
_RUN = 100  # words


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to judge. `logprobs`, `entropies` and `margins` are of its tokens, as in `edgewise.types.Chunk`.

    `facts` are what it was to be written from, `samples` other answers drawn at random by the same model.
    """

    question: str
    text: str
    facts: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()
    margins: tuple[float, ...] = ()
    samples: tuple[str, ...] = ()
    finished: bool = True


def _form(answer: Answer) -> Mapping[str, float]:
    text, words = answer.text, content_words(answer.text)
    asked = set(content_words(answer.question))
    numbers, given = _numbers(text), _numbers(answer.question)
    parts = _MARK.split(text)
    final = _numbers(parts[-1])[:1] if len(parts) > 1 else []
    holds = [_holds(*equation) for equation in (*_EQUATION.findall(text), *_WORKED_OUT.findall(text))]
    return {
        **{f"answer {name}": value for name, value in zip(features.NAMES, features.surface(text), strict=True)},
        **_kind(answer),
        "finished": float(answer.finished),
        "to question": math.log((1 + len(text)) / (1 + len(answer.question))),
        "adds": math.log1p(len([word for word in words if word not in asked])),
        "question said again": len(asked & set(words)) / max(1, len(asked)),
        "repeats itself": 1 - len(set(words)) / max(1, len(words)),
        "hedges": float(bool(_HEDGES.search(text))),
        "says its answer": float(len(parts) > 1),
        "says it again": math.log1p(max(0, len(parts) - 2)),
        "final number": math.copysign(math.log1p(abs(final[0])), final[0]) if final else -1.0,
        "final is whole": float(bool(final) and final[0] == int(final[0])),
        "final was worked out": float(bool(final) and final[0] in _numbers(parts[0])[-1:]),
        "given numbers used": len(set(given) & set(numbers)) / max(1, len(set(given))),
        "sums right": math.log1p(sum(holds)),
        "sums wrong": math.log1p(len(holds) - sum(holds)),
    }


def _logprobs(answer: Answer) -> Mapping[str, float]:
    logprobs, count = answer.logprobs, len(answer.logprobs)
    ordered = sorted(logprobs)
    return {
        "mean logprob": sum(logprobs) / count,
        "least logprob": ordered[0],
        "low logprobs": sum(ordered[: max(1, count // 4)]) / max(1, count // 4),
        "sum of logprobs": -math.log1p(max(0.0, -sum(logprobs))),
        "first logprob": logprobs[0],
        "sure tokens": sum(value > _SURE for value in logprobs) / count,
        "tokens": math.log1p(count),
    }


def _spread(answer: Answer) -> Mapping[str, float]:
    """How much else the model might have said."""
    entropies, margins = answer.entropies, answer.margins
    return {
        "mean entropy": sum(entropies) / len(entropies),
        "greatest entropy": max(entropies),
        "first entropy": entropies[0],
        "first margin": margins[0],
        "least margin": min(margins),
        "mean margin": sum(margins) / len(margins),
    }


def _support(answer: Answer) -> Mapping[str, float]:
    """Where there are no facts, nothing supports it."""
    words = content_words(answer.text)
    known = Counter(word for fact in answer.facts for word in content_words(fact))
    return {
        "has facts": float(bool(answer.facts)),
        "length of facts": math.log1p(sum(map(len, answer.facts))),
        "groundedness": groundedness(answer.text, answer.question, answer.facts),
        "words in facts": sum(word in known for word in words) / max(1, len(words)),
        "cited whole": float(any(answer.text.strip(" .").casefold() in fact.casefold() for fact in answer.facts)),
        "longest run": _longest_run(words, [content_words(fact) for fact in answer.facts]) / max(1, len(words)),
        **_place(answer),
    }


def _place(answer: Answer) -> Mapping[str, float]:
    """Whether the sentence that has what the answer adds is the one that the question is about."""
    asked = set(content_words(answer.question))
    added = set(content_words(answer.text)) - asked
    sentences = [set(content_words(part)) for fact in answer.facts for part in _SENTENCE_END.split(fact)] or [set()]
    fits = [len(asked & words) / max(1, len(asked)) for words in sentences]
    holds = [len(added & words) / max(1, len(added)) for words in sentences]
    best, source = (max(range(len(sentences)), key=lambda at: (some[at], -at)) for some in (fits, holds))
    return {
        "best fit": fits[best],
        "fit of its source": fits[source],
        "fit below the best": fits[best] - fits[source],
        "found in the best": holds[best],
        "found in one": holds[source],
        "rivals": math.log1p(sum(fit >= fits[source] for fit in fits)),
    }


def _kind(answer: Answer) -> Mapping[str, float]:
    """Whether what the answer adds is of the kind that is asked for: a number, a name, or neither."""
    asked = set(content_words(answer.question))
    added = [word for word in _WORD.findall(answer.text) if word.casefold() not in asked]
    numbers = sum(any(map(str.isdigit, word)) for word in added) / max(1, len(added))
    names = sum(word[:1].isupper() for word in added) / max(1, len(added))
    wants_number, wants_name = bool(_WANTS_NUMBER.search(answer.question)), bool(_WANTS_NAME.search(answer.question))
    return {
        "adds numbers": numbers,
        "adds names": names,
        "number where wanted": (numbers if wants_number else -numbers) if wants_number or numbers else 0.0,
        "name where wanted": names if wants_name else 0.0,
        "wanted kind is missing": float((wants_number and not numbers) or (wants_name and not names)),
    }


def _agreement(answer: Answer) -> Mapping[str, float]:
    asked = set(content_words(answer.question))
    new = [set(content_words(text)) - asked for text in (answer.text, *answer.samples)]
    shared = [len(new[0] & other) / max(1, len(new[0] | other)) for other in new[1:]]
    alike = [agreement(answer.text, sample) for sample in answer.samples]
    return {
        "mean agreement": sum(alike) / len(alike),
        "least agreement": min(alike),
        "mean agreement in what is new": sum(shared) / len(shared),
        "least agreement in what is new": min(shared),
    }


@dataclass(frozen=True, slots=True)
class _Group:
    """Features that are there together or not at all."""

    there: Callable[[Answer], bool]
    measure: Callable[[Answer], Mapping[str, float]]


_GROUPS: Mapping[str, _Group] = {
    "form": _Group(lambda _: True, _form),
    "logprobs": _Group(lambda answer: bool(answer.logprobs), _logprobs),
    "spread": _Group(lambda answer: bool(answer.entropies and answer.margins), _spread),
    "support": _Group(lambda _: True, _support),
    "samples": _Group(lambda answer: bool(answer.samples), _agreement),
}
_SOMETHING = Answer("?", "!", logprobs=(0.0,), entropies=(0.0,), margins=(0.0,), samples=("!",))


def groups_of(answers: Sequence[Answer]) -> tuple[str, ...]:
    """The groups of features that every one of some answers has."""
    return tuple(name for name, group in _GROUPS.items() if all(map(group.there, answers)))


def names_of(groups: Sequence[str]) -> tuple[str, ...]:
    """What `seen` returns for these groups, by name; nothing, if one of them is unknown."""
    if not set(groups) <= set(_GROUPS):
        return ()
    measured = (name for group in groups for name in _GROUPS[group].measure(_SOMETHING))
    return (*(f"question {name}" for name in features.NAMES), *measured)


def seen(answer: Answer, groups: Sequence[str]) -> tuple[float, ...] | None:
    """The features of the question, and of its answer in these groups; None where the answer lacks one of them."""
    if not all(_GROUPS[group].there(answer) for group in groups):
        return None
    begins = replace(answer, question=answer.question[: features.LOOKED_AT], text=answer.text[: features.LOOKED_AT])
    measured = (value for group in groups for value in _GROUPS[group].measure(begins).values())
    return (*features.surface(answer.question), *measured)


def _numbers(text: str) -> list[float]:
    return [features.number(found) for found in _NUMBER.findall(text)]


def _holds(sum_: str, result: str) -> bool:
    """Whether a sum is what the answer says; one that cannot be worked out does not hold."""
    try:
        value = evaluate(sum_.replace("$", "").replace("%", ""))
        return abs(value - float(result.replace(",", ""))) <= _CLOSE * max(1.0, abs(value))
    except ValueError:
        return False


def _longest_run(words: Sequence[str], texts: Sequence[Sequence[str]]) -> int:
    """The most of the first words of a row that stand in one of the texts in the same row."""
    longest, words = 0, words[:_RUN]
    for text in texts:
        ends = [0] * (len(words) + 1)
        for word in text:
            ends = [0, *(ends[place] + 1 if word == mine else 0 for place, mine in enumerate(words))]
            longest = max(longest, *ends)
    return longest
