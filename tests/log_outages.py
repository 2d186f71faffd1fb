"""What holds of a log whose database goes, or is on another machine; part of its contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from edgewise.errors import InvalidInput, NotReady
from edgewise.types import Grade, Privacy, Record, Step
from router.log import Log
from tests.log_subjects import Subject, caught_up, ids
from tests.logs import call, record
from tests.sides import passage


class Waiting:
    """The database goes, and comes back."""

    def test_without_the_database_everything_waits_and_is_written_once_in_order(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await log.write(record("before", conversation_id="c", answer="0"), (call("k"),))
            with subject.gone():
                for name in ("a", "b"):
                    given = {"conversation_id": "c", "request_id": name, "answer": f"{name}\n\0", "mode": "auto"}
                    await log.write(record(name, **given), (call(name),))
                await log.grade(Grade(record_id="a", grader="g", score=0.5))
                await log.grade(Grade(record_id="before", grader="g", score=1))
                assert log.backlog.count == 4
                assert "check" in log.backlog.reason
                assert subject.backlog.stat().st_mode & 0o777 == 0o600
                assert len(subject.backlog.read_bytes().splitlines()) == 4
                await _seen_while_gone(log)
            await caught_up(log)
            assert not subject.backlog.exists()
            assert await ids(log) == ["b", "a", "before"]
            assert [len(found.grades) for found in await log.newest(limit=9)] == [0, 1, 1]
            assert await log.calls("a") == (call("a"),)
            assert [turn.text.value for turn in await log.turns("", "c")] == [
                "why?",
                "0",
                "why?",
                "a\n\0",
                "why?",
                "b\n\0",
            ]
            await log.write(record("after"), ())
            assert await ids(log) == ["after", "b", "a", "before"]

        subject.with_log(work)

    def test_what_waits_outlives_the_process(self, subject: Subject) -> None:
        with ExitStack() as until_later:

            async def queue(log: Log) -> None:
                await log.write(record("before"), ())
                until_later.enter_context(subject.gone())
                await log.write(record("a"), (call("k"),))
                await log.grade(Grade(record_id="a", grader="g", score=1))

            subject.with_log(queue)

        async def look(log: Log) -> None:
            await caught_up(log)
            assert await ids(log) == ["a", "before"]
            assert len((await log.get("a")).grades) == 1

        subject.with_log(look)

    def test_a_crash_between_the_database_and_the_file_doubles_nothing(self, subject: Subject) -> None:
        left = b""

        async def queue(log: Log) -> None:
            nonlocal left
            await log.write(record("before"), ())
            with subject.gone():
                await log.write(record("a"), (call("k"),))
                await log.grade(Grade(record_id="a", grader="g", score=1))
                await log.grade(Grade(record_id="before", grader="g", score=0))
                left = subject.backlog.read_bytes()
            await caught_up(log)

        async def look(log: Log) -> None:
            await caught_up(log)
            assert await ids(log) == ["a", "before"]
            assert [len(found.grades) for found in await log.newest(limit=9)] == [1, 1]
            assert await log.calls("a") == (call("k"),)
            assert not subject.backlog.exists()

        subject.with_log(queue)
        subject.backlog.write_bytes(left)
        subject.with_log(look)

    def test_a_line_that_broke_off_or_is_none_is_set_aside_and_the_rest_is_written(
        self, subject: Subject, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def look(log: Log) -> None:
            await caught_up(log)
            assert await ids(log) == ["b", "a"]

        first, second = (json.dumps({"record": record(name).model_dump(mode="json")}) for name in ("a", "b"))
        orphan = json.dumps({"grade": {"record_id": "nobody", "grader": "g", "score": 1}, "grade_id": "x"})
        bad = ("no JSON", "{}", first[:40], orphan)
        subject.backlog.write_text("\n".join((bad[0], first, bad[1], orphan, second, bad[2])))
        subject.with_log(look)
        aside = (subject.directory / "backlog.bad.jsonl").read_text().splitlines()
        assert [line[:20] for line in aside[:3]] == [line[:20] for line in bad[:3]]
        assert [json.loads(line)["grade"]["record_id"] for line in aside[3:]] == ["nobody"]
        assert caplog.text.count("was set aside") == 4

    def test_without_a_backlog_nothing_waits(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await log.write(record("before", request_id="1"), ())
            with subject.gone():
                for attempt in (
                    log.write(record("a"), ()),
                    log.grade(Grade(record_id="before", grader="g", score=1)),
                    log.of_request("", "1"),
                    log.get("before"),
                    log.newest(limit=3),
                    log.tally(),
                ):
                    with pytest.raises(NotReady, match="record database failed"):
                        await attempt
            await log.write(record("b"), ())
            assert await ids(log) == ["b", "before"]

        subject.with_log(work, waits=False)

    def test_where_nothing_can_wait_either_it_is_an_error_that_names_both(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await log.write(record("before"), ())
            with subject.gone():
                subject.directory.rmdir()
                with pytest.raises(NotReady, match=r"record database failed .*nor can it wait on disk"):
                    await log.write(record("a"), ())
                assert log.backlog.count == 0

        subject.directory = subject.directory / "waiting"
        subject.directory.mkdir()
        subject.with_log(work)


async def _seen_while_gone(log: Log) -> None:
    """What waits is seen; what is in the database cannot be, and is not made up."""
    assert (await log.get("a")).grades[0].score == 0.5
    assert await log.calls("b") == (call("b"),)
    found = await log.of_request("", "a")
    assert found is not None
    assert found.record_id == "a"
    assert await log.of_request("", "unknown") is None
    assert [one.record_id for one in await log.newest(limit=1)] == ["b"]
    assert [one.record_id for one in await log.newest(limit=9)] == ["b", "a"]
    assert [one.record_id for one in await log.newest(limit=9, mode="auto", before_record_id="b")] == ["a"]
    with pytest.raises(NotReady):
        await log.newest(limit=9, before_record_id="a")
    with pytest.raises(NotReady):
        await log.get("before")
    with pytest.raises(NotReady, match=r"conversation c cannot be continued now"):
        await log.turns("", "c")


class OnAnotherMachine:
    """What leaves is what may."""

    def test_of_a_record_that_is_not_public_only_figures_leave(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            for name, given in _secret_records():
                await log.write(given, (call("hash of SECRET", request="SECRET", response="SECRET"),))
                await log.grade(Grade(record_id=name, grader="g", score=0.5, comment="SECRET"))
                kept = await log.get(name)
                assert "SECRET" not in kept.model_dump_json()
                assert (kept.total_s, kept.mode, len(kept.steps), len(kept.citations)) == (2.5, "auto", 1, 1)
                assert kept.steps[0].numbers == {"trust": 0.5}
                [made] = await log.calls(name)
                assert "SECRET" not in made.model_dump_json()
                assert (made.side, made.kind, made.logprobs, made.ended_s) == ("edge", "score", (), 1.0)
                assert [grade.score for grade in kept.grades] == [0.5]

        subject.with_log(work, elsewhere=True)

    def test_what_waited_leaves_no_more(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await log.write(record("before", privacy=Privacy.PRIVATE), ())
            with subject.gone():
                await log.write(record("a", answer="SECRET"), (call("k", request="SECRET"),))
                await log.grade(Grade(record_id="a", grader="g", score=1, comment="SECRET"))
                assert (await log.get("a")).answer == "SECRET"
            await caught_up(log)
            assert "SECRET" not in (await log.get("a")).model_dump_json()

        subject.with_log(work, elsewhere=True)

    def test_a_public_record_is_kept_whole(self, subject: Subject) -> None:
        request = '{"messages":[{"role":"user","content":{"value":"q","label":"PUBLIC","sources":[]}}]}["a","b"]'
        known = {"conversation_id": "c", "request_id": "1", "citations": (passage("a fact"),), "calls": ("k",)}
        whole = record("p", privacy=Privacy.PUBLIC, **known)

        async def work(log: Log) -> None:
            await log.write(whole, (call("k", request=request),))
            grade = await log.grade(Grade(record_id="p", grader="g", score=1, comment="good"))
            assert await log.get("p") == whole.model_copy(update={"grades": (grade,)})
            assert await log.calls("p") == (call("k", request=request),)
            assert len(await log.turns("", "c")) == 2
            assert await log.of_request("", "1") is not None

        subject.with_log(work, elsewhere=True)

    def test_nobody_answers_as_if_nothing_had_been_said(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            assert await log.turns("", "c") == ()
            await log.write(record("a", conversation_id="c", request_id="1"), ())
            await log.write(record("b", request_id="2", error="UNAVAILABLE"), ())
            with pytest.raises(InvalidInput, match=r"conversation c cannot be continued.*send the earlier turns"):
                await log.turns("", "c")
            with pytest.raises(InvalidInput, match=r"request 1 was answered.*new request_id"):
                await log.of_request("", "1")
            failed = await log.of_request("", "2")
            assert failed is not None
            assert failed.error == "UNAVAILABLE"

        subject.with_log(work, elsewhere=True)


def _secret_records() -> Iterator[tuple[str, Record]]:
    cited = passage("SECRET").model_copy(update={"source": "/home/SECRET.md", "title": "SECRET"})
    unlabelled = passage("SECRET", label=Privacy.UNKNOWN)
    secret = {
        "question": "SECRET", "answer": "SECRET", "reason": "SECRET", "mode": "auto", "total_s": 2.5,
        "calls": ("hash of SECRET",), "citations": (cited,),
        "steps": (Step(id="s", name="judge", detail="SECRET", numbers={"trust": 0.5}),),
    }  # fmt: skip
    for name, given in (
        ("unlabelled", {}),
        ("private", {"privacy": Privacy.PRIVATE}),
        ("with an unlabelled passage", {"privacy": Privacy.PUBLIC, "citations": (unlabelled,)}),
        ("failed", {"privacy": Privacy.PUBLIC, "error": "INTERNAL", "error_message": "SECRET"}),
        ("with a call that is not public", {"privacy": Privacy.PUBLIC}),
    ):
        yield name, record(name, **{**secret, **given})
