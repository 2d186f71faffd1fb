"""Which records may leave whole for a database on another machine."""

from __future__ import annotations

import asyncio

import pytest

from edgewise.types import Findings, Message, Passage, Privacy, Prompt, Query, Record, Text
from router.log.egress import is_public, without_content
from router.meter import Ledger, MeteredEdge, SideCall
from tests.logs import call, record
from tests.sides import FakeEdge, passage

PUBLIC = record("p", privacy=Privacy.PUBLIC)


def prompt(*labels: Privacy) -> str:
    texts = [Text(value="{", label=label) for label in labels]
    return Prompt(messages=tuple(Message(role="user", content=text) for text in texts)).model_dump_json()


def looked_up(query: Privacy, *found: Privacy) -> SideCall:
    findings = Findings(passages=tuple(passage("x", label=label) for label in found))
    request = Query(text=Text(value="q", label=query)).model_dump_json()
    return call("k", kind="retrieve", request=request, response=findings.model_dump_json())


def read(*labels: Privacy) -> SideCall:
    """As the meter writes it."""
    ledger = Ledger(lambda: 0.0)
    first, *others = labels
    passages = tuple(passage("x", label=label) for label in others)
    asyncio.run(MeteredEdge(FakeEdge(), ledger).read(Text(value="q", label=first), passages))
    return ledger.calls[0]


@pytest.mark.parametrize(
    "made",
    [
        call("k", kind="generate", request=prompt(Privacy.PUBLIC, Privacy.PUBLIC), response="anything"),
        call("k", kind="score", request=prompt(Privacy.PUBLIC) + '["a", "b"]'),
        looked_up(Privacy.PUBLIC, Privacy.PUBLIC),
        looked_up(Privacy.PUBLIC),
        read(Privacy.PUBLIC, Privacy.PUBLIC),
        call("k", kind="embed", request='["the question"]'),
    ],
)
def test_public(made: SideCall) -> None:
    assert is_public(PUBLIC, (made,))


@pytest.mark.parametrize(
    "made",
    [
        call("k", kind="generate", request=prompt(Privacy.PUBLIC, Privacy.UNKNOWN)),
        call("k", kind="generate", request=prompt(Privacy.PRIVATE)),
        call("k", kind="score", request=prompt(Privacy.UNKNOWN) + '["a", "b"]'),
        looked_up(Privacy.PUBLIC, Privacy.PUBLIC, Privacy.UNKNOWN),
        looked_up(Privacy.UNKNOWN),
        read(Privacy.PUBLIC, Privacy.UNKNOWN),
        call("k", kind="generate", request="plain words"),
        call("k", kind="generate", request=""),
        call("k", kind="generate", request="{}"),
        call("k", kind="generate", request="[" * 100_000),
        call("k", kind="generate", request='{"label": null}'),
    ],
)
def test_not_public_or_not_certain(made: SideCall) -> None:
    assert not is_public(PUBLIC, (made,))
    assert not is_public(PUBLIC, (call("k", request=prompt(Privacy.PUBLIC)), made))


def test_what_else_makes_a_record_unfit_to_leave() -> None:
    assert is_public(PUBLIC, ())
    cited: tuple[Passage, ...] = (passage("x"), passage("y", label=Privacy.UNKNOWN))
    for given in (
        {"privacy": Privacy.UNKNOWN},
        {"privacy": Privacy.PRIVATE},
        {"error": "INTERNAL"},
        {"citations": cited},
    ):
        assert not is_public(PUBLIC.model_copy(update=given), ())


def test_only_what_is_known_to_be_no_words_stays() -> None:
    """A text in each field that takes any text: all that is left of them are ids and versions."""
    filled = {name: f"words in {name}" for name, field in type(PUBLIC).model_fields.items() if field.annotation is str}
    left = without_content(Record.model_validate(filled)).model_dump().values()
    ids = {"record_id", "request_id", "created_at", "app", "user_id", "conversation_id", "mode_asked", "mode", "error"}
    versions = {"policy_version", "prompt_version", "model_hash", "experiment", "arm", "shadow_of"}
    assert {value for value in left if value in filled.values()} == {f"words in {name}" for name in ids | versions}
