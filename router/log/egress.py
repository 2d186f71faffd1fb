"""What a database on another machine gets of a record: all of a public one, and of any other one the figures only.

A record is public if its label says so and nothing that was used on the way says otherwise. What cannot be told is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from edgewise.types import Grade, Passage, Privacy, Record, Text
from router.egress.rows import Leaving
from router.log.backlog import Line
from router.log.places import Place
from router.meter import SideCall

# What may always leave. A field that is not named here does not.
_OF_A_RECORD = {
    "record_id", "request_id", "created_at", "app", "user_id", "conversation_id", "privacy", "mode_asked", "mode",
    "author", "confidence", "grounding", "finish_reason", "usage", "cost_usd", "cost_basis", "flops", "queue_s",
    "prompt_s", "first_shown_s", "first_kept_s", "total_s", "cloud_calls", "cloud_generates", "retractions", "degraded",
    "error", "policy_version", "prompt_version", "model_hash", "propensity", "experiment", "arm", "shadow_of",
}  # fmt: skip
_OF_A_CALL = {
    "side", "kind", "prompt_version", "model", "model_hash", "finish_reason", "tokens", "timings", "started_s",
    "first_s", "ended_s", "cost_usd", "cost_basis", "flops", "error", "reason",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """A record and its calls as they are written."""

    record: Record
    calls: tuple[SideCall, ...]
    has_content: bool


def looked_up(place: Place) -> Leaving:
    """What a database on another machine is asked for: records by their ids, times and modes."""
    return Leaving(destination="records", host=place.host, call="read", released="ids and times to look up")


def written_down(place: Place, lines: Sequence[Line]) -> Leaving:
    """What it is given, as far as that can be told before: what is left of a record that is not public is less."""
    records = [line.record for line in lines if line.record is not None]
    public = all(line.record is not None and is_public(line.record, line.calls) for line in lines)
    return Leaving(
        destination="records",
        host=place.host,
        call="write",
        record_id=records[0].record_id if len(lines) == len(records) == 1 else "",
        label=Privacy.PUBLIC if public else None,
        released="all of public records" if public else "of records that are not public no content",
        texts=len(lines),
    )


def released(record: Record, calls: Sequence[SideCall]) -> Kept:
    if is_public(record, calls):
        return Kept(record, tuple(calls), has_content=True)
    return Kept(without_content(record), tuple(map(_call_without_content, calls)), has_content=False)


def is_public(record: Record, calls: Sequence[SideCall]) -> bool:
    """A failed record has the label of its question only, whatever was looked up for it: it is not public."""
    return (
        record.privacy is Privacy.PUBLIC
        and not record.error
        and all(passage.text.label is Privacy.PUBLIC for passage in record.citations)
        and all(_is_public_call(call) for call in calls)
    )


def without_content(record: Record) -> Record:
    """Nothing that a person, a document or a model wrote; ids, decisions, counts, times and money stay."""
    return Record.model_validate(
        {
            **record.model_dump(include=_OF_A_RECORD),
            "steps": tuple(step.model_copy(update={"detail": ""}) for step in record.steps),
            "citations": tuple(map(_passage_without_content, record.citations)),
            "calls": ("",) * len(record.calls),  # a hash gives away a text that can be guessed
            "grades": tuple(map(grade_without_content, record.grades)),
        }
    )


def grade_without_content(grade: Grade) -> Grade:
    return grade.model_copy(update={"comment": ""})


def _passage_without_content(passage: Passage) -> Passage:
    """Its source and title are names of somebody's files."""
    return passage.model_copy(
        update={"id": "", "source": "", "title": "", "text": Text(value="", label=passage.text.label), "spans": ()}
    )


def _call_without_content(call: SideCall) -> SideCall:
    """The likelihoods of its tokens stay here too: they tell a guessed text from another one."""
    return SideCall.model_validate({**call.model_dump(include=_OF_A_CALL), "key": "", "request": ""})


def _is_public_call(call: SideCall) -> bool:
    """Requests and findings are JSON with a label beside each of their texts; what a score has after it has none.

    What is embedded is the question or an answer, which the record has the label of, or a draft, whose prompt has it.
    """
    if call.kind == "embed":
        return True
    texts = (call.request, call.response) if call.kind == "retrieve" else (call.request,)
    try:
        values = [value for text in texts if text for value in _values(text)]
    except (ValueError, RecursionError):
        return False
    labels = [label for value in values for label in _labels(value)]
    return bool(labels) and all(label == Privacy.PUBLIC for label in labels)


def _values(text: str) -> Iterator[JsonValue]:
    """JSON values, one behind the other."""
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        value, place = decoder.raw_decode(text, place)
        yield value


def _labels(value: JsonValue) -> Iterator[JsonValue]:
    if isinstance(value, dict):
        if "label" in value:
            yield value["label"]
        for part in value.values():
            yield from _labels(part)
    elif isinstance(value, list):
        for part in value:
            yield from _labels(part)
