"""What comes with a request, in process and over gRPC: ids, conversations, limits, cancels, bad input, grades."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from edgewise.errors import (
    Conflict,
    DeadlineExceeded,
    EdgewiseError,
    InvalidInput,
    NotFound,
    Overloaded,
    TooLarge,
    Withheld,
)
from edgewise.types import Grade, Message, Privacy, Sampling, Text, Turn
from router.answering import Origin
from router.config import RouterSettings
from tests.routers import HANGS, VARIANTS, Place, Trying, a_cloud, an_edge, an_edge_that_hangs, question
from tests.sides import UNSURE

# --- request_id -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["edge_only", "post_arbitration", "cloud_info_edge_rag"])
def test_a_finished_request_is_answered_from_its_record(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        first = await place.ask(question(mode, request_id="r1"))
        calls = place.edge.calls, place.cloud.calls
        again = await place.ask(question(mode, request_id="r1"))
        assert (place.edge.calls, place.cloud.calls) == calls
        assert again.text == first.text
        assert [event.passages for event in again.citations] == [event.passages for event in first.citations]
        same = first.done.model_copy(update={"answer_id": again.done.answer_id})
        assert again.done == same
        assert len(await place.records()) == 1

    tried(work, an_edge(UNSURE))


def test_a_running_request_is_not_asked_twice(tried: Trying) -> None:
    async def work(place: Place) -> None:
        running = asyncio.create_task(place.ask(question("edge_only", request_id="r1")))
        await place.edge.hanging.wait()
        with pytest.raises(Conflict, match="r1"):
            await place.ask(question("edge_only", request_id="r1"))
        assert len(place.edge.prompts) == 1
        running.cancel()
        await asyncio.wait({running})
        await place.records(at_least=1)
        assert (await place.ask(question("edge_only", request_id="r1"))).text  # a cancelled one may be asked again

    edge = an_edge()
    edge.answers.insert(0, HANGS)
    tried(work, edge)


def test_a_request_id_is_for_one_question(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await place.ask(question("edge_only", request_id="r1"))
        with pytest.raises(InvalidInput, match="another question"):
            await place.ask(question("edge_only", request_id="r1", text="And the tram?"))

    tried(work)


def test_a_failed_request_may_be_tried_again_and_both_are_recorded(tried: Trying) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(Withheld):
            await place.ask(question("cloud_only", request_id="r1", privacy=Privacy.PRIVATE))
        await place.ask(question("cloud_only", request_id="r1"))
        assert [record.error for record in await place.records()] == ["", "FAILED_PRECONDITION"]

    tried(work)


def test_the_ids_of_two_apps_are_two_ids(tried: Trying) -> None:
    async def work(place: Place) -> None:
        for app in ("one", "two"):
            asked = question("edge_only", request_id="r1", text=f"for {app}")
            assert [event async for event in place.router.ask(asked, Origin(app=app))]

    tried(work)


# --- conversations ----------------------------------------------------------------------------------------------------


def said(message: Message) -> tuple[str, str]:
    return message.role, message.content.value


def test_a_conversation_is_remembered(tried: Trying) -> None:
    async def work(place: Place) -> None:
        first = await place.ask(question("edge_only", conversation_id="c", text="When does the ferry sail?"))
        await place.ask(question("edge_only", conversation_id="c", text="And the tram?"))
        await place.ask(question("edge_only", conversation_id="other", text="And the bus?"))
        _, second, third = (place.edge.prompts[turn].messages for turn in range(3))
        assert [said(message) for message in second[1:]] == [
            ("user", "When does the ferry sail?"),
            ("assistant", first.text),
            ("user", "And the tram?"),
        ]
        assert [said(message) for message in third[1:]] == [("user", "And the bus?")]

    tried(work)


def test_history_is_asked_as_it_is_given(tried: Trying) -> None:
    async def work(place: Place) -> None:
        history = tuple(
            Turn(role=role, text=Text(value=value))
            for role, value in (("user", "Hello"), ("assistant", "Hi"))
        )  # fmt: skip
        await place.ask(question("cloud_only", history=history))
        assert [said(message) for message in place.cloud.prompts[0].messages[1:3]] == [
            ("user", "Hello"), ("assistant", "Hi"),
        ]  # fmt: skip
        with pytest.raises(InvalidInput, match="not both"):
            await place.ask(question("edge_only", history=history, conversation_id="c"))

    tried(work)


def test_turns_that_are_left_out_are_said(tried: Trying) -> None:
    async def work(place: Place) -> None:
        for turn in range(3):
            heard = await place.ask(question("edge_only", conversation_id="c", text=f"Question {turn}"))
        assert [said(message)[1] for message in place.edge.prompts[-1].messages if "Question" in said(message)[1]] == [
            "Question 1", "Question 2",
        ]  # fmt: skip
        [step] = [step for step in heard.steps if step.name == "history"]
        assert "2 older turns" in step.detail

    tried(work, settings=RouterSettings(history_turns=2))


@pytest.mark.parametrize("mode", VARIANTS)
def test_a_private_turn_taints_what_follows(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        told = question("edge_only", conversation_id="c", text="My salary is low", privacy=Privacy.PRIVATE)
        await place.ask(told)
        try:
            await place.ask(question(mode, conversation_id="c", text="Is that so?"))
        except Withheld:
            assert mode.startswith("cloud_only")
        else:
            assert (await place.records())[0].privacy is Privacy.PRIVATE
        assert place.cloud.saw_nothing

    tried(work, an_edge(UNSURE), settings=RouterSettings(gain_threshold=0))


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["edge_only", "post_arbitration", "cloud_info_edge_rag", "agent", "auto"])
def test_a_late_answer_is_given_up_and_the_side_is_stopped(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(DeadlineExceeded, match="max_latency_s"):
            await place.ask(question(mode, max_latency_s=0.05))
        [record] = await place.records(at_least=1)
        assert record.error == "DEADLINE_EXCEEDED"
        assert place.edge.cut_short == 1

    tried(work, an_edge_that_hangs())


@pytest.mark.parametrize("mode", ["edge_only", "cloud_only", "post_arbitration", "post_arbitration+cascade", "agent"])
def test_who_leaves_stops_the_work_and_is_recorded(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        side = place.cloud if mode == "cloud_only" else place.edge
        listening = asyncio.create_task(place.ask(question(mode)))
        await side.hanging.wait()
        listening.cancel()
        await asyncio.wait({listening})
        [record] = await place.records(at_least=1)
        assert (record.error, record.answer) == ("CANCELLED", "")
        assert side.cut_short == 1
        assert "CANCELLED" in {call.error for call in await place.log.calls(record.record_id)}

    tried(work, an_edge_that_hangs(), a_cloud(HANGS))


def test_who_closes_the_stream_in_the_middle_is_gone_as_well(tried: Trying) -> None:
    async def work(place: Place) -> None:
        async with aclosing(place.router.ask(question("edge_only"))) as events:
            await anext(events)
        assert place.edge.cut_short == 1
        assert (await place.records(at_least=1))[0].error == "CANCELLED"

    tried(work, an_edge_that_hangs())


def test_one_question_too_many_is_refused_with_a_time_to_try_again(tried: Trying) -> None:
    async def work(place: Place) -> None:
        listening = asyncio.create_task(place.ask(question("edge_only")))
        await place.edge.hanging.wait()
        with pytest.raises(Overloaded) as caught:
            await place.ask(question("edge_only"))
        assert caught.value.retry_after_s == 1.0  # over gRPC this was a RetryInfo
        listening.cancel()
        await asyncio.wait({listening})
        assert len(await place.records(at_least=1)) == 1
        assert (await place.ask(question("edge_only"))).text

    edge = an_edge()
    edge.answers.insert(0, HANGS)
    tried(work, edge, settings=RouterSettings(max_concurrent=1))


def test_the_length_of_an_answer_is_the_callers_or_the_configured_one(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await place.ask(question("edge_only"))
        await place.ask(question("edge_only", sampling=Sampling(max_tokens=5, temperature=0.5)))
        assert [options.sampling.max_tokens for options in place.edge.options] == [7, 5]
        assert place.edge.options[1].sampling.temperature == 0.5

    tried(work, settings=RouterSettings(max_tokens=7))


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"text": ""}, InvalidInput, "empty"),
        ({"text": " \n\t"}, InvalidInput, "empty"),
        ({"text": "x" * (10 * 1024 * 1024)}, TooLarge, "ingest"),
        ({"text": "ü" * (600 * 1024)}, TooLarge, "1228800 bytes"),
        ({"text": "a\ud800"}, InvalidInput, "valid Unicode"),
        ({"mode": "gpt-4o"}, InvalidInput, "edge_only"),
        ({"mode": "edge_only+speed"}, InvalidInput, "speed"),
    ],
)
def test_bad_input_is_refused_before_anybody_is_asked(
    tried: Trying, given: dict[str, str], error: type[EdgewiseError], words: str
) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(error, match=words) as caught:
            await place.ask(question(**{"mode": "edge_only"} | given))
        assert len(caught.value.message) < 500
        assert (place.edge.calls, place.cloud.calls, await place.records()) == (0, 0, ())

    tried(work)


@pytest.mark.parametrize(
    "text", ["«Grüße»\n日本語 👩‍👩‍👧", "\0", "x" * 1_000_000, "'; DROP TABLE records; --", "{{}} %s"]
)
def test_odd_texts_are_just_texts(tried: Trying, text: str) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("edge_only", text=text, conversation_id=text[:50], user_id=text[:50]))
        record = await place.record(heard.done.record_id)
        assert (record.question, record.conversation_id) == (text, text[:50])
        assert place.edge.prompts[0].messages[-1].content.value == text

    tried(work)


# --- records and grades -----------------------------------------------------------------------------------------------


def test_a_grade_stays_with_its_record(tried: Trying) -> None:
    async def work(place: Place) -> None:
        done = (await place.ask(question("edge_only"))).done
        graded = place.door
        for score in (0.0, 1.0):
            kept = await graded.grade(Grade(record_id=done.record_id, grader="me", score=score, comment="ü"))
            assert (kept.score, kept.comment) == (score, "ü")
            assert kept.created_at
        assert [grade.score for grade in (await place.record(done.record_id)).grades] == [0.0, 1.0]
        with pytest.raises(NotFound):
            await graded.grade(Grade(record_id="nobody", grader="me", score=1))

    tried(work)


def test_an_unknown_record_is_not_found(tried: Trying) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(NotFound, match="edgewise log"):
            await place.record("nobody")

    tried(work)


def test_records_come_in_pages(tried: Trying) -> None:
    async def work(place: Place) -> None:
        for mode in ("edge_only", "cloud_only", "edge_only"):
            await place.ask(question(mode))
        listed = place.door
        newest = await listed.records(limit=2)
        rest = await listed.records(limit=2, before_record_id=newest[-1].record_id)
        assert [record.mode for record in (*newest, *rest)] == ["edge_only", "cloud_only", "edge_only"]
        assert [record.mode for record in await listed.records(mode="cloud_only")] == ["cloud_only"]
        for limit in (-1, 1001):
            with pytest.raises(InvalidInput, match="1 to 1000"):
                await listed.records(limit=limit)
        with pytest.raises(NotFound):
            await listed.records(before_record_id="nobody")

    tried(work)
