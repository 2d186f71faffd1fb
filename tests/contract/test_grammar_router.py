"""A schema for the answer: what every mode, the HTTP door and the gate do with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgewise.errors import CloudUnavailable, Internal, InvalidInput
from edgewise.types import Grounding, Privacy, Sampling
from tests.routers import VARIANTS, Place, Trying, a_cloud, an_edge, question
from tests.sides import SURE, UNSURE, FakeCloud, FakeEdge, Say
from tests.site import MESSAGES, Site
from tests.site import tried as tried_over_http

SCHEMA = json.dumps({"type": "object", "properties": {"when": {"type": "string"}}, "required": ["when"]})
NINE = '{"when": "The ferry sails at nine"}'
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "times", "strict": True, "schema": json.loads(SCHEMA)}}
OBEYING = tuple(variant for variant in VARIANTS if "cot" not in variant)


def edge_in_json(logprob: float = SURE, *, knows: bool = True) -> FakeEdge:
    """Uses its calculator too, where it may."""
    edge = an_edge(logprob, knows=knows)
    edge.answers = [Say(NINE, logprob=logprob)]
    return edge


def cloud_in_json() -> FakeCloud:
    return a_cloud(Say('{"when": "Nobody sails before noon"}'))


@pytest.mark.parametrize("mode", OBEYING)
def test_an_answer_is_written_under_the_schema_and_nothing_else_is(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question(mode, response_schema=SCHEMA))
        assert json.loads(heard.text)["when"]
        for side in (place.edge, place.cloud):
            for prompt, options in zip(side.prompts, side.options, strict=True):
                shown = any(SCHEMA in message.content.value for message in prompt.messages)
                assert (
                    (options.response_schema == SCHEMA)
                    is shown
                    is not _is_calculation(prompt.messages[0].content.value)
                )

    tried(work, edge_in_json(), cloud_in_json())


def _is_calculation(instruction: str) -> bool:
    return instruction.startswith("Write the calculation")


def test_keys_of_json_are_not_what_an_answer_says(tried: Trying) -> None:
    """Else no JSON would be grounded, and any two answers would agree."""

    async def work(place: Place) -> None:
        heard = await place.ask(question("edge_only+rag", response_schema=SCHEMA))
        assert heard.done.grounding is Grounding.GROUNDED
        other = await place.ask(question("post_arbitration", response_schema=SCHEMA))
        [judged] = [step.numbers for step in other.steps if step.name == "judge"]
        assert judged["agreement"] < 0.4

    tried(work, edge_in_json(), cloud_in_json())


def test_an_abstention_is_no_json_and_says_so(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("edge_only+rag", response_schema=SCHEMA))
        assert heard.done.grounding is Grounding.ABSTAINED
        assert not heard.text.startswith("{")

    tried(work, edge_in_json(UNSURE, knows=False))


@pytest.mark.parametrize(
    ("schema", "mode", "stop", "words"),
    [
        ("{", "edge_only", "", "not JSON"),
        ("[" * 50_000, "edge_only", "", "response_schema"),
        ('"string"', "edge_only", "", "not a JSON object"),
        ("true", "edge_only", "", "not a JSON object"),
        (SCHEMA, "edge_only+cot", "", r"\+cot"),
        (SCHEMA, "edge_only", "}", "stop"),
    ],
)
def test_a_schema_that_nobody_can_obey_is_refused_at_the_door(
    tried: Trying, schema: str, mode: str, stop: str, words: str
) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(InvalidInput, match=words):
            await place.ask(question(mode, response_schema=schema, sampling=Sampling(stop=(stop,) if stop else ())))
        assert (place.edge.calls, place.cloud.calls, await place.records()) == (0, 0, ())

    tried(work)


def test_a_side_that_ignores_the_schema_is_found_out(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("cloud_only", response_schema=SCHEMA, hold=True))
        assert (heard.text, heard.done.author, heard.done.degraded) == (NINE, "edge", True)
        assert "wrote something else" in heard.done.reason
        place.edge.answers = [Say("at nine")]
        with pytest.raises(Internal, match="JSON"):
            await place.ask(question("edge_only", response_schema=SCHEMA))

    tried(work, edge_in_json(), a_cloud())


def test_a_schema_is_as_private_as_its_question(tried: Trying) -> None:
    async def work(place: Place) -> None:
        naming = json.dumps({"type": "object", "properties": {"who": {"enum": ["ann@example.org", "bob@example.org"]}}})
        heard = await place.ask(question("post_arbitration", response_schema=naming))
        assert place.cloud.saw_nothing
        assert heard.done.degraded
        await place.ask(question("post_arbitration", response_schema=naming, privacy=Privacy.PUBLIC))
        assert not place.cloud.saw_nothing

    tried(work, edge_in_json(), cloud_in_json())


def test_a_cloud_that_cannot_constrain_leaves_it_to_the_edge(tried: Trying) -> None:
    async def work(place: Place) -> None:
        place.cloud.down = CloudUnavailable("it cannot do grammar; ask without it")
        heard = await place.ask(question("cloud_only", response_schema=SCHEMA))
        assert (heard.text, heard.done.degraded) == (NINE, True)

    tried(work, edge_in_json())


# --- over HTTP --------------------------------------------------------------------------------------------------------


def test_openai_clients_get_json(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        any_json: Any = {"type": "json_object"}
        for wanted, schema in ((FORMAT, json.loads(SCHEMA)), (any_json, {"type": "object"})):
            whole = await site.client.chat.completions.create(
                model="edge_only", messages=MESSAGES, response_format=wanted
            )
            assert (whole.choices[0].message.content, whole.choices[0].message.refusal) == (NINE, None)
            chunks = await site.stream("edge_only", response_format=wanted)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == NINE
            assert [json.loads(options.response_schema) for options in site.place.edge.options[-2:]] == [schema] * 2
        await site.client.chat.completions.create(
            model="edge_only", messages=MESSAGES, response_format={"type": "text"}
        )
        assert site.place.edge.options[-1].response_schema == ""

    tried_over_http(tmp_path, work, edge_in_json())


def test_an_abstention_is_a_refusal_to_openai_clients(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        whole = await site.client.chat.completions.create(
            model="edge_only+rag", messages=MESSAGES, response_format=FORMAT
        )
        message = whole.choices[0].message
        assert message.content is None
        assert message.refusal
        chunks = await site.stream("edge_only+rag", response_format=FORMAT)
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        assert not any(delta.content for delta in deltas)
        assert "".join(delta.refusal or "" for delta in deltas) == message.refusal
        plain = await site.client.chat.completions.create(model="edge_only+rag", messages=MESSAGES)
        assert plain.choices[0].message.content == message.refusal

    tried_over_http(tmp_path, work, edge_in_json(UNSURE, knows=False))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"type": "json_schema"}, "json_schema"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "schema"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": [1]}}, "schema"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"a": "b" * 70_000}}}, "response_schema"),
        ({"type": "yaml"}, "response_format"),
        ({"type": "json_object", "schema": {}}, "schema"),
    ],
)
def test_a_format_that_is_not_one_is_refused(tmp_path: Path, wanted: object, words: str) -> None:
    async def work(site: Site) -> None:
        status, answer = await site.post({"model": "edge_only", "messages": MESSAGES, "response_format": wanted})
        assert (status, site.place.edge.calls) == (400, 0)
        assert words in json.loads(answer)["error"]["message"]
        assert len(answer) < 1000

    tried_over_http(tmp_path, work)
