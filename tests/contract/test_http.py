"""The OpenAI-compatible door, asked by OpenAI's own client: answers, failures, who hangs up, metrics."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from edgewise.errors import CloudUnavailable, EdgeUnavailable
from edgewise.types import Done
from router.config import RouterSettings
from router.modes import MODES
from tests.routers import ASKED, TOKEN, VARIANTS, a_cloud, an_edge, an_edge_that_hangs, question, until
from tests.sides import UNSURE, FakeEdge, Say
from tests.site import MESSAGES, Site, tried


def decision(carrier: Any) -> Done:
    """What stands under `edgewise` in an answer or in a last chunk, which OpenAI's client keeps as an extra."""
    return Done.model_validate({name: carrier.edgewise[name] for name in Done.model_fields if name in carrier.edgewise})


def content(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def reasoning(chunks: list[Any]) -> str:
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    return "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)


# --- answers ----------------------------------------------------------------------------------------------------------


def test_every_mode_answers_an_openai_client_streaming_or_not(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for mode in VARIANTS:
            whole = await site.client.chat.completions.create(model=mode, messages=MESSAGES)
            chunks = await site.stream(mode)
            assert whole.choices[0].message.content == content(chunks) != ""
            assert [chunk.choices[0].finish_reason for chunk in chunks[-2:-1]] == ["stop"]
            for ending in (whole, chunks[-1]):
                done = decision(ending)
                record = await site.place.record(done.record_id)
                assert (record.mode_asked, record.answer, record.app) == (mode, content(chunks), "http")
                assert done.mode == record.mode
                both = done.usage.edge + done.usage.cloud
                assert ending.usage is not None
                assert (ending.usage.prompt_tokens, ending.usage.completion_tokens, ending.usage.total_tokens) == (
                    both.prompt_tokens, both.completion_tokens, both.prompt_tokens + both.completion_tokens,
                )  # fmt: skip

    tried(tmp_path, work)


def test_a_stream_has_no_draft_that_is_retracted(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        chunks = await site.stream("post_arbitration")
        assert content(chunks) == "Nobody sails before noon"
        assert reasoning(chunks) == ""
        assert decision(chunks[-1]).author == "cloud"
        assert (await site.place.records())[0].retractions == 1

    tried(tmp_path, work, an_edge(UNSURE))


def test_drafts_stream_as_reasoning_when_they_are_asked_for(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        chunks = await site.stream("post_arbitration", extra_body={"edgewise": {"show_drafts": True}})
        assert content(chunks) == "Nobody sails before noon"
        assert "The ferry sails at nine" in reasoning(chunks)
        assert "retracted" in reasoning(chunks)

    tried(tmp_path, work, an_edge(UNSURE))


def test_citations_come_with_the_ending(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        whole: Any = await site.client.chat.completions.create(model="cloud_info_edge_rag", messages=MESSAGES)
        chunks = await site.stream("cloud_info_edge_rag")
        for ending in (whole, chunks[-1]):
            [cited] = ending.edgewise["citations"]
            assert cited["origin"] == "edge"
            [span] = cited["spans"]
            assert cited["text"][span["start"] : span["end"]] == "The ferry sails at nine."

    tried(tmp_path, work)


def test_what_the_caller_sets_arrives(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        messages: Any = [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": ASKED},
        ]
        await site.client.chat.completions.create(
            model="edge_only", messages=messages, max_tokens=5, temperature=0.5, top_p=0.5, seed=3, stop=["\n"],
            user="anna", extra_body={"edgewise": {"collections": ["a"], "max_cost_usd": 1, "max_latency_s": 9}},
        )  # fmt: skip
        sampling = site.place.edge.options[0].sampling
        assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.seed, sampling.stop) == (
            5, 0.5, 0.5, 3, ("\n",),
        )  # fmt: skip
        said = [(turn.role, turn.content.value) for turn in site.place.edge.prompts[0].messages[1:]]
        assert said == [("system", "Be brief."), ("user", "Hello\nthere"), ("assistant", "Hi"), ("user", ASKED)]
        assert (await site.place.records())[0].user_id == "anna"

    tried(tmp_path, work)


def test_the_default_mode_has_a_name_and_a_conversation_is_remembered(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for _ in range(2):
            extra = {"edgewise": {"conversation_id": "c"}}
            await site.client.chat.completions.create(model="default", messages=MESSAGES, extra_body=extra)
        assert len(site.place.edge.prompts[1].messages) == len(site.place.edge.prompts[0].messages) + 2
        assert (await site.place.records())[0].mode_asked == "edge_only"

    tried(tmp_path, work, settings=RouterSettings(default_mode="edge_only"))


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(tmp_path: Path, encoding: str) -> None:
    async def work(site: Site) -> None:
        texts = ["a banana", "an egg", "«日本»"]
        body = {"model": "any", "input": texts, "encoding_format": encoding}
        status, answer = await site.raw("POST", "/v1/embeddings", json.dumps(body).encode())
        assert status == 200
        data = json.loads(answer)["data"]
        assert [entry["index"] for entry in data] == [0, 1, 2]
        vectors = [entry["embedding"] for entry in data]
        if encoding == "base64":
            vectors = [struct.unpack("<3f", base64.b64decode(vector)) for vector in vectors]
        wanted = await site.place.edge.embed(tuple(texts))
        assert [list(vector) for vector in vectors] == [pytest.approx(list(vector)) for vector in wanted]

        found = await site.client.embeddings.create(model="any", input="a banana")
        assert found.data[0].embedding == pytest.approx(list(wanted[0]))

    tried(tmp_path, work)


def test_embeddings_without_an_edge_have_its_status(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        site.place.edge.down = EdgeUnavailable("the edge node is gone")
        with pytest.raises(openai.InternalServerError, match="the edge node is gone") as caught:
            await site.client.embeddings.create(model="any", input="a banana")
        assert caught.value.status_code == 503

    tried(tmp_path, work)


def test_the_models_are_the_modes_and_their_variants(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        listed = {model.id async for model in site.client.models.list()}
        assert set(MODES) <= listed
        assert set(VARIANTS) == listed

    tried(tmp_path, work)


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_before_the_first_token_has_its_own_status(tmp_path: Path, stream: bool) -> None:
    async def work(site: Site) -> None:
        async def failure(model: str, **extras: object) -> openai.APIStatusError:
            with pytest.raises(openai.APIStatusError) as caught:
                await site.client.chat.completions.create(
                    model=model, messages=MESSAGES, stream=stream, extra_body={"edgewise": extras}
                )
            return caught.value

        for model, extras, status, reason in (
            ("gpt-4o", {}, 400, "InvalidInput"),
            ("edge_only+speed", {}, 400, "InvalidInput"),
            ("cloud_only", {"privacy": "PRIVATE"}, 403, "Withheld"),
            ("cloud_only", {"max_cost_usd": 0}, 402, "OverBudget"),
            ("edge_only", {"max_latency_s": 0.05}, 504, "DeadlineExceeded"),
        ):
            error = await failure(model, **extras)
            assert (error.status_code, error.code) == (status, reason)
            assert error.message
        assert site.place.cloud.saw_nothing
        site.place.edge.answers = [Say("x", error=EdgeUnavailable("the edge node is gone"))]
        assert (await failure("edge_only")).status_code == 503
        assert (await failure("edge_only", show_drafts=True)).status_code == 503

    tried(tmp_path, work, FakeEdge(Say("x", hangs=True)))


def test_one_question_too_many_is_told_when_to_try_again(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        first = asyncio.create_task(site.place.ask(question("edge_only")))
        await site.place.edge.hanging.wait()
        with pytest.raises(openai.RateLimitError) as caught:
            await site.stream("edge_only")
        assert caught.value.response.headers["retry-after"] == "1"
        first.cancel()
        await asyncio.wait({first})

    tried(tmp_path, work, an_edge_that_hangs(), settings=RouterSettings(max_concurrent=1))


def test_an_answer_that_breaks_off_after_its_first_token_ends_in_an_error(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        chunks: list[Any] = []
        extra = {"edgewise": {"show_drafts": True}}
        opened: Any = await site.client.chat.completions.create(
            model="cloud_only", messages=MESSAGES, stream=True, extra_body=extra
        )
        with pytest.raises(openai.APIError, match="broke off"):
            await collected(opened, chunks)
        assert reasoning(chunks) == "Nobody "
        assert content(chunks) == ""

    tried(tmp_path, work, cloud=a_cloud(Say("Nobody sails", after=1, error=CloudUnavailable("the line is dead"))))


async def collected(opened: AsyncIterator[Any], chunks: list[Any]) -> None:
    async for chunk in opened:
        chunks.append(chunk)  # noqa: PERF401 - what came before it fails counts


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("show_drafts", [False, True])
def test_who_hangs_up_stops_the_work_and_is_recorded(tmp_path: Path, stream: bool, show_drafts: bool) -> None:
    async def work(site: Site) -> None:
        async def listen() -> None:
            answer: Any = await site.client.chat.completions.create(
                model="edge_only",
                messages=MESSAGES,
                stream=stream,
                extra_body={"edgewise": {"show_drafts": show_drafts}},
            )
            await collected(answer, [])

        listening = asyncio.create_task(listen())
        await site.place.edge.hanging.wait()
        await asyncio.sleep(0.05)  # the first token is on its way
        listening.cancel()
        await asyncio.wait({listening})
        await until(lambda: site.place.edge.cut_short == 1)
        assert (await site.place.records(at_least=1))[0].error == "CANCELLED"
        assert (await site.raw("GET", "/healthz"))[0] == 200

    tried(tmp_path, work, an_edge_that_hangs())


# --- health and metrics -----------------------------------------------------------------------------------------------


def test_health_needs_no_token_and_tells_which_side_is_there(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        async def health() -> tuple[int, object]:
            status, answer = await site.raw("GET", "/healthz", authorization="")
            return status, json.loads(answer)

        assert await health() == (200, {"edge": True, "cloud": True})
        site.place.cloud.down = CloudUnavailable("gone")
        assert await health() == (200, {"edge": True, "cloud": False})
        site.place.edge.down = EdgeUnavailable("gone")
        assert await health() == (503, {"edge": False, "cloud": False})

    tried(tmp_path, work)


def test_metrics_count_and_tell_nothing_of_what_was_asked(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        messages: Any = [{"role": "user", "content": "Where does the zebra sleep?"}]
        extra = {"edgewise": {"conversation_id": "zebras"}}
        for mode in ("cloud_only", "edge_only"):
            await site.client.chat.completions.create(model=mode, messages=messages, user="zoe", extra_body=extra)
        with pytest.raises(openai.APIStatusError):
            await site.client.chat.completions.create(
                model="cloud_only", messages=messages, extra_body={"edgewise": {"privacy": "PRIVATE"}}
            )
        status, text = await site.raw("GET", "/metrics")
        assert status == 200
        assert 'edgewise_answers_total{author="edge",error="none",mode="edge_only"} 1.0' in text
        assert 'edgewise_answers_total{author="none",error="FAILED_PRECONDITION",mode="cloud_only"} 1.0' in text
        assert 'edgewise_cost_usd_total{basis="NOTIONAL",mode="cloud_only"}' in text
        for secret in ("zebra", "zoe", "sleep", "Nobody", "ferry", TOKEN):
            assert secret not in text

    tried(tmp_path, work)
