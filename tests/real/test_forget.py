"""Forgetting, down to the bytes of the files: with the real stores, models and databases."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edgewise.errors import Conflict, Forbidden, InvalidInput, NotFound
from edgewise.types import Forgotten, Grade, Unwanted
from router.arbiter.arbiter import ARBITER, GAIN, TRUST, learned_from
from router.reach import OWNERS, Reach, own_collection
from router.running import Running
from tests.edges import upload
from tests.marked import OTHER, SECRET, Device, asked, device, holding, note, of
from tests.routers import database_gone

CAMERA = Reach("camera", ("app-camera",))


def tried(directory: Path, work: Callable[[Device], Awaitable[None]]) -> None:
    """With two documents."""

    async def main() -> None:
        async with asyncio.timeout(60), device(directory) as opened:
            for word in (SECRET, OTHER):
                assert (await opened.edge.ingest(upload(note(word), f"{word}.md", "default"))).status == "INGESTED"
            await work(opened)

    asyncio.run(main())


async def document_of(device: Device, word: str) -> str:
    [found] = [one.id for one in await device.edge.documents() if one.source == f"{word}.md"]
    return found


def test_no_byte_is_left_of_a_document_and_of_what_was_asked_about_it(tmp_path: Path) -> None:
    async def work(device: Device) -> None:
        device.informs(SECRET)
        first = await device.ask(asked(SECRET), conversation_id="talk")
        assert SECRET in first.text
        later = await device.ask(asked(OTHER), conversation_id="talk")
        informed = await device.ask(asked(SECRET), "cloud_info_edge_rag", user_id="u")
        await device.router.grade(
            Grade(record_id=informed.done.record_id, grader="me", score=1, comment=f"{SECRET} indeed")
        )
        assert "cloud-info" in {one.collection for one in await device.edge.documents()}

        gone = await device.forgetting.forget(of(document_id=await document_of(device, SECRET)), OWNERS)
        assert (gone.records, gone.documents, gone.cloud_info) == (2, 1, 1)
        assert device.holding(SECRET) == []
        assert device.holding(OTHER) != []
        kept = await device.router.record(later.done.record_id)
        assert kept.answer == later.text
        assert await device.router.calls(kept.record_id) == ()
        assert (await device.ask(asked(OTHER))).text == later.text

    tried(tmp_path, work)
    assert holding(tmp_path, SECRET) == []


@pytest.mark.timeout(300)
def test_killed_at_any_step_it_leaves_nothing_by_halves_and_finishes_when_it_is_done_again(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.forgetter", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 9


def test_a_record_goes_with_what_later_turns_repeat_and_not_with_what_was_said_before(tmp_path: Path) -> None:
    async def work(device: Device) -> None:
        before = await device.ask(asked(OTHER), conversation_id="talk")
        told = await device.ask(asked(SECRET), conversation_id="talk")
        after = await device.ask(asked(OTHER), conversation_id="talk")
        elsewhere = await device.ask(asked(OTHER), conversation_id="another")
        gone = await device.forgetting.forget(of(record_id=told.done.record_id), OWNERS)
        assert (gone.records, gone.redacted, gone.documents) == (1, 1, 0)
        with pytest.raises(NotFound):
            await device.router.record(told.done.record_id)
        kept = [len(await device.router.calls(one.done.record_id)) for one in (before, after, elsewhere)]
        assert [bool(count) for count in kept] == [True, False, True]
        again = await device.forgetting.forget(of(record_id=told.done.record_id), OWNERS)
        assert (again.records, again.redacted) == (0, 0)

    tried(tmp_path, work)


def test_an_app_forgets_what_is_its_own(tmp_path: Path) -> None:
    async def work(device: Device) -> None:
        await device.edge.ingest(upload(note("Kestrelmark"), "k.md", own_collection("camera")))
        mine = await device.ask(asked("Kestrelmark"), app="camera", conversation_id="c")
        theirs = await device.ask(asked(SECRET), app="lamp", conversation_id="c", collections=("default",))
        owners = await device.ask(asked(SECRET), conversation_id="c", user_id="camera", collections=("default",))
        foreign = (
            of(record_id=theirs.done.record_id), of(record_id=owners.done.record_id), of(user_id="camera"),
            of(document_id=await document_of(device, SECRET)), of(record_id="nobody's"),
        )  # fmt: skip
        told = {await device.forgetting.forget(unwanted, CAMERA) for unwanted in foreign[:3] + foreign[4:]}
        assert {(one.records, one.redacted, one.remarks) for one in told} == {(0, 0, next(iter(told)).remarks)}
        assert (await device.forgetting.forget(foreign[3], CAMERA)).documents == 0
        with pytest.raises(Forbidden):
            await device.forgetting.forget(of(app="lamp"), CAMERA)
        assert {one.record_id for one in await device.router.records()} == {
            one.done.record_id for one in (mine, theirs, owners)
        }
        gone = await device.forgetting.forget(of(app="camera"), CAMERA)
        assert (gone.records, gone.documents) == (1, 1)
        assert device.holding("Kestrelmark") == []
        assert len(await device.router.records()) == 2

    tried(tmp_path, work)


def test_everything_of_an_app_is_what_others_have_of_its_documents_too(tmp_path: Path) -> None:
    async def work(device: Device) -> None:
        await device.edge.ingest(upload(note("Kestrelmark"), "k.md", own_collection("camera")))
        device.informs("Kestrelmark")
        await device.ask(asked("Kestrelmark"), "cloud_info_edge_rag", app="camera")
        cites, looks = [await device.ask(asked(word)) for word in ("Kestrelmark", SECRET)]
        gone = await device.forgetting.forget(of(app="camera"), OWNERS)
        assert (gone.records, gone.redacted, gone.documents, gone.cloud_info) == (2, 1, 1, 1)
        assert device.holding("Kestrelmark") == []
        assert [one.record_id for one in await device.router.records()] == [looks.done.record_id]
        assert cites.done.record_id != looks.done.record_id

    tried(tmp_path, work)


@pytest.mark.parametrize("unwanted", [of(conversation_id="talk"), of(user_id="u"), of(before="2999-01-01")])
def test_many_records_go_at_once(tmp_path: Path, unwanted: Unwanted) -> None:
    async def work(device: Device) -> None:
        for _ in range(2):
            await device.ask(asked(OTHER), conversation_id="talk", user_id="u", request_id="r")
        assert (await device.forgetting.forget(unwanted, OWNERS)).records == 1  # the second one was a repetition
        assert await device.router.records() == ()
        assert (await device.ask(asked(OTHER), request_id="r")).done.record_id

    tried(tmp_path, work)


def test_what_waits_for_a_database_is_forgotten_there(tmp_path: Path) -> None:
    async def work(device: Device) -> None:
        first = await device.ask(asked(OTHER), conversation_id="talk")
        with database_gone(tmp_path):
            waiting = await device.ask(asked(SECRET))
            assert "backlog.jsonl" in device.holding(SECRET)
        (tmp_path / "backlog.bad.jsonl").write_text(f'{{"record":{{"record_id":"{waiting.done.record_id}","x"\n')
        gone = await device.forgetting.forget(of(record_id=waiting.done.record_id), OWNERS)
        assert gone.records == 1
        assert [one.record_id for one in await device.router.records()] == [first.done.record_id]
        document = await document_of(device, SECRET)
        await device.forgetting.forget(of(document_id=document), OWNERS)
        assert device.holding(SECRET) == []
        assert device.holding(waiting.done.record_id) == []

    tried(tmp_path, work)


def test_what_is_being_said_cannot_be_forgotten(tmp_path: Path) -> None:
    async def work(device: Device) -> None:
        told = await device.ask(asked(OTHER), conversation_id="talk", app="camera")
        unwanted = (
            of(record_id=told.done.record_id), of(conversation_id="talk"), of(app="camera"), of(before="2999-01-01")
        )  # fmt: skip
        with device.router.floor.taken(Running("camera", "talk")):
            for one in unwanted:
                with pytest.raises(Conflict):
                    await device.forgetting.forget(one, OWNERS)
        with device.router.floor.taken(Running("", shadow_of=told.done.record_id)), pytest.raises(Conflict):
            await device.forgetting.forget(unwanted[0], OWNERS)
        with device.router.floor.taken(Running("lamp", "talk")):
            assert (await device.forgetting.forget(unwanted[0], OWNERS)).records == 1

    tried(tmp_path, work)


def test_a_question_of_what_is_being_forgotten_is_refused(tmp_path: Path) -> None:
    async def work(device: Device) -> None:
        with device.router.floor.barred(lambda one: one.conversation_id == "talk"):
            with pytest.raises(Conflict):
                await device.ask(asked(OTHER), conversation_id="talk")
            assert (await device.ask(asked(OTHER))).text
        assert (await device.ask(asked(OTHER), conversation_id="talk")).text

    tried(tmp_path, work)


def test_what_was_learned_from_the_log_goes_with_graded_records(tmp_path: Path) -> None:
    async def work(device: Device) -> None:
        directory = tmp_path / ARBITER
        for name, from_log in ((GAIN, True), (TRUST, False)):
            with learned_from(directory / name, log=from_log):
                (directory / name).write_text("learned")
        graded, plain = [(await device.ask(asked(OTHER))).done.record_id for _ in range(2)]
        await device.router.grade(Grade(record_id=graded, grader="me", score=1))
        await device.forgetting.forget(of(record_id=plain), OWNERS)
        assert (directory / GAIN).exists()
        gone: Forgotten = await device.forgetting.forget(of(record_id=graded), OWNERS)
        assert [path.name for path in directory.iterdir()] == [TRUST]
        assert any("train again" in remark for remark in gone.remarks)

    tried(tmp_path, work)


@pytest.mark.parametrize("unwanted", [of(), of(before="tomorrow"), of(document_id="d", user_id="u")])
def test_what_is_meant_has_to_be_said(tmp_path: Path, unwanted: Unwanted) -> None:
    async def work(device: Device) -> None:
        with pytest.raises(InvalidInput):
            await device.forgetting.forget(unwanted, OWNERS)

    tried(tmp_path, work)
