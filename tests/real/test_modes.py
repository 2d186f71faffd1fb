"""Every mode of the contract through a daemon, over gRPC, with the real models: ours and a stock client of gRPC."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edgewise.client import Answer, Client
from edgewise.errors import InvalidInput, NotFound, TooLarge, Unauthenticated, Withheld
from edgewise.types import (
    CLOUD_INFO,
    Citations,
    Document,
    Done,
    Event,
    Grounding,
    Privacy,
    Question,
    Record,
    Retraction,
    Sampling,
    Step,
    Token,
)
from tests.stack import ABOUT_LIGHTHOUSE, ABOUT_NOTHING, ABOUT_WORKSHOP, Daemon, informed

MODES = ("edge_only", "cloud_only", "pre_arbitration", "post_arbitration", "cloud_info_edge_rag", "agent", "auto")
VARIANTS = (
    "edge_only+rag", "edge_only+long_context", "edge_only+rag+long_context", "edge_only+cot", "cloud_only+rag",
    "cloud_only+cot", "post_arbitration+cascade",
)  # fmt: skip
BUF = str(Path(sys.executable).with_name("buf"))
ROOT = Path(__file__).resolve().parents[2]
SHORT = Sampling(max_tokens=24)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with informed(tmp_path_factory.mktemp("modes") / "data") as started:
        yield started


def events_of(daemon: Daemon, question: Question) -> tuple[tuple[Event, ...], Record]:
    async def main() -> tuple[tuple[Event, ...], Record]:
        async with daemon.client() as client:
            events = tuple([event async for event in client.ask(question)])
            assert isinstance(events[-1], Done)
            return events, await client.record(events[-1].record_id)

    return asyncio.run(main())


def documents_of(daemon: Daemon, collection: str) -> tuple[Document, ...]:
    async def main() -> tuple[Document, ...]:
        async with daemon.client() as client:
            return await client.documents(collection)

    return asyncio.run(main())


def answer_of(daemon: Daemon, question: Question) -> Answer:
    async def main() -> Answer:
        async with daemon.client() as client:
            return await client.answer(question)

    return asyncio.run(main())


@pytest.mark.parametrize("mode", [*MODES, *VARIANTS])
def test_a_mode_answers_and_its_record_agrees(daemon: Daemon, mode: str) -> None:
    events, record = events_of(daemon, Question(text=ABOUT_WORKSHOP, mode=mode, sampling=SHORT))
    *before, done = events
    assert isinstance(done, Done)
    assert not any(isinstance(event, Done) for event in before)
    kept = "".join(e.text for e in before if isinstance(e, Token) and e.answer_id == done.answer_id)
    retracted = {event.answer_id for event in before if isinstance(event, Retraction)}
    shown = {event.answer_id for event in before if isinstance(event, Token)}
    assert kept.strip()
    assert shown == {done.answer_id} | retracted
    assert mode in {done.mode, "auto"}
    assert (record.mode_asked, record.mode, record.answer) == (mode, done.mode, kept)
    assert (record.author, record.usage, record.cost_usd) == (done.author, done.usage, done.cost_usd)
    assert record.retractions == len(retracted)
    assert not done.degraded
    assert record.calls
    quoted = any(isinstance(event, Step) and event.name == "quote" for event in before)
    assert (done.usage.edge.completion_tokens + done.usage.cloud.completion_tokens > 0) is not quoted
    assert done.cost_usd is not None
    assert (done.cost_usd > 0) == (done.usage.cloud.prompt_tokens > 0)
    assert done.first_shown_s is not None
    assert done.first_kept_s is not None
    assert 0 < done.first_shown_s <= done.first_kept_s <= done.total_s


def test_both_sides_are_in_the_record_of_a_question_that_asked_both(daemon: Daemon) -> None:
    _, record = events_of(daemon, Question(text=ABOUT_WORKSHOP, mode="post_arbitration", sampling=SHORT))
    assert len(record.calls) == 3, "both wrote, and the draft was embedded to be judged"
    assert (record.cloud_calls, record.cloud_generates) == (1, 1)
    assert record.usage.edge.completion_tokens > 0
    assert record.usage.cloud.completion_tokens > 0
    _, record = events_of(daemon, Question(text=ABOUT_WORKSHOP, mode="cloud_info_edge_rag", sampling=SHORT))
    assert (record.cloud_calls, record.cloud_generates) == (1, 0)
    assert record.usage.cloud.completion_tokens == 0


@pytest.mark.parametrize(
    ("text", "origin", "source"), [(ABOUT_WORKSHOP, "edge", "workshop.md"), (ABOUT_LIGHTHOUSE, "cloud", "lighthouse")]
)
def test_a_grounded_answer_cites_where_it_is_from(daemon: Daemon, text: str, origin: str, source: str) -> None:
    answer = answer_of(daemon, Question(text=text, mode="cloud_info_edge_rag"))
    assert answer.done.grounding is Grounding.GROUNDED
    assert [(one.origin, source in one.source) for one in answer.citations] == [(origin, True)]


def test_what_nothing_answers_is_not_answered(daemon: Daemon) -> None:
    answer = answer_of(daemon, Question(text=ABOUT_NOTHING, mode="cloud_info_edge_rag"))
    assert answer.done.grounding is Grounding.ABSTAINED
    assert answer.citations == ()
    assert "do not know" in answer.text


def test_who_cannot_retract_hears_one_answer_only(daemon: Daemon) -> None:
    events, record = events_of(daemon, Question(text=ABOUT_WORKSHOP, mode="post_arbitration", hold=True))
    assert not any(isinstance(event, Retraction) for event in events)
    assert "".join(event.text for event in events if isinstance(event, Token)) == record.answer


@pytest.mark.parametrize("mode", [*MODES, "post_arbitration+cascade"])
def test_a_private_question_stays_here(daemon: Daemon, mode: str) -> None:
    question = Question(text=ABOUT_LIGHTHOUSE, mode=mode, privacy=Privacy.PRIVATE, sampling=SHORT)
    if mode == "cloud_only":
        with pytest.raises(Withheld, match="private"):
            answer_of(daemon, question)
        return
    events, record = events_of(daemon, question)
    assert isinstance(events[-1], Done)
    assert events[-1].author == "edge"
    assert record.cloud_calls == 0
    cited = [passage for event in events if isinstance(event, Citations) for passage in event.passages]
    kept = documents_of(daemon, CLOUD_INFO)
    # Information of the cloud is used only where this device has it from an earlier question.
    assert {one.id.rpartition(":")[0] for one in cited if one.origin == "cloud"} <= {one.id for one in kept}


def test_a_conversation_is_remembered(daemon: Daemon) -> None:
    def ask(text: str, conversation: str) -> Done:
        return answer_of(
            daemon, Question(text=text, mode="edge_only", conversation_id=conversation, sampling=SHORT)
        ).done

    first, second, alone = ask("I am Ottoline.", "c1"), ask("What is my name?", "c1"), ask("What is my name?", "c2")
    assert first.record_id != second.record_id
    assert second.usage.edge.prompt_tokens > alone.usage.edge.prompt_tokens


def test_a_request_id_is_answered_once(daemon: Daemon) -> None:
    question = Question(text=ABOUT_WORKSHOP, mode="edge_only", request_id="once", sampling=SHORT)
    first, again = answer_of(daemon, question), answer_of(daemon, question)
    assert (first.text, first.done.record_id) == (again.text, again.done.record_id)


def test_bad_questions_are_refused(daemon: Daemon) -> None:
    for question, error, words in (
        (Question(text=" \n"), InvalidInput, "empty"),
        (Question(text="x", mode="best_only"), InvalidInput, "edge_only"),
        (Question(text="x", mode="edge_only+wings"), InvalidInput, "rag"),
        (Question(text="x" * 10_000_000), TooLarge, "ingest"),
    ):
        with pytest.raises(error, match=words):
            answer_of(daemon, question)

    async def other_people(token: str) -> None:
        async with Client(daemon.grpc, token) as client:
            with pytest.raises(Unauthenticated, match="token"):
                await client.answer(Question(text="x"))
            with pytest.raises(Unauthenticated, match="token"):
                await client.edge_status()

    for token in ("", "wrong"):
        asyncio.run(other_people(token))

    async def no_record() -> None:
        async with Client(daemon.grpc, daemon.token) as client:
            with pytest.raises(NotFound, match="edgewise log"):
                await client.record("nothing")

    asyncio.run(no_record())


# --- a stock client ---------------------------------------------------------------------------------------------------


def buf(daemon: Daemon, method: str, message: object, *options: str) -> subprocess.CompletedProcess[str]:
    """`buf curl`, a client of gRPC that is not ours."""
    return subprocess.run(
        [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *options, "--data", json.dumps(message),
         f"http://{daemon.grpc}/{method}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def with_token(token: str) -> tuple[str, ...]:
    return ("--header", f"authorization: Bearer {token}")


def test_a_stock_client_asks_through_reflection(daemon: Daemon) -> None:
    question = {"text": "What is the capital of France?", "mode": "edge_only"}
    done = buf(daemon, "edgewise.v1.RouterService/Ask", question, *with_token(daemon.token))
    assert done.returncode == 0, done.stderr
    decoder, rest, events = json.JSONDecoder(), done.stdout.strip(), []
    while rest:
        event, end = decoder.raw_decode(rest)
        events.append(event)
        rest = rest[end:].strip()
    assert events[-1]["done"]["author"] == "edge"
    assert events[-1]["done"]["grounding"] == "GROUNDING_OWN_KNOWLEDGE"
    assert "".join(event["token"]["text"] for event in events if "token" in event).strip()


def test_a_stock_client_sees_statuses(daemon: Daemon) -> None:
    done = buf(daemon, "edgewise.v1.RouterService/Ask", {"text": ""}, *with_token(daemon.token))
    assert json.loads(done.stderr)["code"] == "invalid_argument"
    for options in ((), ("--header", "authorization: Bearer wrong")):
        done = buf(daemon, "edgewise.v1.RouterService/ListModes", {}, *options)
        assert done.returncode != 0
        assert json.loads(done.stderr)["code"] == "unauthenticated"


def test_both_services_are_at_one_address(daemon: Daemon) -> None:
    done = buf(daemon, "edgewise.v1.EdgeService/GetStatus", {}, *with_token(daemon.token))
    own, kept = documents_of(daemon, "default"), documents_of(daemon, CLOUD_INFO)
    assert [one.origin for one in own] == ["edge"]
    assert {one.origin for one in kept} <= {"cloud"}
    assert json.loads(done.stdout)["status"]["documents"] == 1 + len(kept)


def test_everybody_may_ask_whether_it_is_there(daemon: Daemon) -> None:
    with grpc.insecure_channel(daemon.grpc) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        for service in ("", "edgewise.v1.RouterService", "edgewise.v1.EdgeService"):
            reply = check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
