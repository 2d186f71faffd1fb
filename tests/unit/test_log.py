"""Records, side calls and grades on a real SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edgewise.errors import InvalidInput, NotFound, NotReady
from edgewise.types import Grade, Grounding, Privacy, Record, Step, Tokens, Usage
from router.log import Log, now, parse_grade
from router.meter import SideCall
from tests.routers import log_url
from tests.sides import passage


def record(name: str, **given: object) -> Record:
    return Record.model_validate(
        {"record_id": name, "question": "why?", "answer": "so", "mode": "agent", "created_at": now(), **given}
    )


def call(key: str) -> SideCall:
    return SideCall(key=key, side="edge", kind="score", request="{}", logprobs=(-0.5,), started_s=0.0, ended_s=1.0)


def with_log(directory: Path, work: Callable[[Log], Awaitable[None]]) -> None:
    async def main() -> None:
        log = await Log.open(log_url(directory))
        try:
            await work(log)
        finally:
            await log.close()

    asyncio.run(main())


def test_a_record_comes_back_as_it_was_even_after_reopening(tmp_path: Path) -> None:
    full = record(
        "r", answer="«ünï» 日本\n\0", confidence=0.0, cost_usd=None, first_kept_s=0.0, author="cloud",
        privacy=Privacy.PRIVATE, grounding=Grounding.ABSTAINED, usage=Usage(edge=Tokens(prompt_tokens=3)),
        steps=(Step(id="s", name="judge", numbers={"trust": 0.5}),), citations=(passage("a fact"),), calls=("k", "l"),
    )  # fmt: skip

    async def write(log: Log) -> None:
        await log.write(full, (call("k"), call("l")))

    async def read(log: Log) -> None:
        assert await log.get("r") == full
        assert await log.calls("r") == (call("k"), call("l"))
        assert await log.calls("unknown") == ()

    with_log(tmp_path, write)
    with_log(tmp_path, read)


def test_an_unknown_record_is_not_found(tmp_path: Path) -> None:
    async def work(log: Log) -> None:
        for look in (log.get("x" * 5000), log.newest(limit=5, before_record_id="x" * 5000)):
            with pytest.raises(NotFound) as caught:
                await look
            assert len(caught.value.message) < 300
        with pytest.raises(NotFound):
            await log.grade(Grade(record_id="x", grader="me", score=1))

    with_log(tmp_path, work)


def test_pages_go_backwards_without_gap_or_repetition(tmp_path: Path) -> None:
    async def work(log: Log) -> None:
        names = [f"r{place}" for place in range(7)]
        for name in names:
            await log.write(record(name), ())
        seen: list[str] = []
        while page := await log.newest(limit=3, before_record_id=seen[-1] if seen else ""):
            seen += [found.record_id for found in page]
        assert seen == names[::-1]

    with_log(tmp_path, work)


def test_pages_can_be_of_one_mode_or_conversation(tmp_path: Path) -> None:
    async def work(log: Log) -> None:
        await log.write(record("a", mode="agent", conversation_id="c"), ())
        await log.write(record("b", mode="auto", conversation_id="c"), ())
        await log.write(record("d", mode="agent"), ())
        assert [found.record_id for found in await log.newest(limit=9, mode="agent")] == ["d", "a"]
        assert [found.record_id for found in await log.newest(limit=9, conversation_id="c")] == ["b", "a"]
        assert [found.record_id for found in await log.newest(limit=9, mode="auto", conversation_id="c")] == ["b"]

    with_log(tmp_path, work)


def test_a_conversation_is_its_answers_in_order_with_their_labels(tmp_path: Path) -> None:
    async def work(log: Log) -> None:
        talk = {"conversation_id": "c", "app": "chat"}
        await log.write(record("a", question="q1", answer="a1", **talk), ())
        await log.write(record("b", question="q2", answer="", error="UNAVAILABLE", **talk), ())
        await log.write(record("d", question="q3", answer="a3", privacy=Privacy.PRIVATE, **talk), ())
        await log.write(record("e", question="q4", conversation_id="c", app="another app"), ())
        turns = await log.turns("chat", "c")
        assert [(turn.role, turn.text.value, turn.text.label) for turn in turns] == [
            ("user", "q1", Privacy.UNKNOWN),
            ("assistant", "a1", Privacy.UNKNOWN),
            ("user", "q3", Privacy.PRIVATE),
            ("assistant", "a3", Privacy.PRIVATE),
        ]
        assert await log.turns("chat", "another") == ()

    with_log(tmp_path, work)


def test_a_request_is_found_by_its_app_and_id_the_newest_first(tmp_path: Path) -> None:
    async def work(log: Log) -> None:
        await log.write(record("a", request_id="1", app="one"), ())
        await log.write(record("b", request_id="1", app="one"), ())
        await log.write(record("c", request_id="1", app="two"), ())
        found = await log.of_request("one", "1")
        assert found is not None
        assert found.record_id == "b"
        assert await log.of_request("three", "1") is None

    with_log(tmp_path, work)


def test_every_grade_is_kept_with_its_record(tmp_path: Path) -> None:
    async def work(log: Log) -> None:
        await log.write(record("a"), ())
        await log.write(record("b"), ())
        given = [Grade(record_id="a", grader=grader, score=score) for grader, score in (("me", 0.0), ("me", 1.0))]
        kept = [await log.grade(grade) for grade in given]
        assert all(grade.created_at for grade in kept)
        assert (await log.get("a")).grades == tuple(kept)
        newest = await log.newest(limit=9)
        assert [len(found.grades) for found in newest] == [0, 2]

    with_log(tmp_path, work)


def test_a_record_id_is_written_once(tmp_path: Path) -> None:
    async def work(log: Log) -> None:
        await log.write(record("a"), ())
        with pytest.raises(NotReady):
            await log.write(record("a"), (call("k"),))
        assert await log.calls("a") == ()  # the failed write left nothing behind

    with_log(tmp_path, work)


def test_concurrent_writes_all_arrive(tmp_path: Path) -> None:
    async def work(log: Log) -> None:
        await asyncio.gather(*(log.write(record(f"r{place}"), (call("k"),)) for place in range(50)))
        assert len(await log.newest(limit=100)) == 50

    with_log(tmp_path, work)


def refusal(url: str) -> str:
    with pytest.raises(NotReady) as caught:
        asyncio.run(Log.open(url))
    return caught.value.message


def test_a_corrupt_database_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"this is no database, whatever its name says" * 100)
    assert "not a database" in refusal(log_url(tmp_path))


def test_a_missing_directory_is_refused_in_words(tmp_path: Path) -> None:
    assert "data directory" in refusal(log_url(tmp_path / "nowhere"))


def test_a_database_that_may_not_be_written_is_refused_in_words(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "records.db").close()
    assert "readonly" in refusal(f"sqlite:///file:{tmp_path / 'records.db'}?mode=ro&uri=true")


def test_a_record_of_another_version_is_refused_in_words(tmp_path: Path) -> None:
    async def work(log: Log) -> None:
        await log.write(record("a"), ())
        with sqlite3.connect(tmp_path / "records.db") as connection:
            connection.execute("""UPDATE records SET value = '{"record_id": "a", "of_tomorrow": 1}'""")
        connection.close()
        with pytest.raises(NotReady, match="of_tomorrow"):
            await log.get("a")

    with_log(tmp_path, work)


@pytest.mark.parametrize(("word", "score"), [("up", 1.0), ("down", 0.0), ("0.25", 0.25), ("1", 1.0)])
def test_a_grade_in_words(word: str, score: float) -> None:
    assert parse_grade(word) == score


@pytest.mark.parametrize("word", ["", "good", "1.1", "-0.1", "nan", "inf", "x" * 5000])
def test_what_is_no_grade(word: str) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 1") as caught:
        parse_grade(word)
    assert len(caught.value.message) < 200
