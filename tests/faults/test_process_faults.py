"""Faults of the processes and the disk of a whole daemon, with the six invariants after each (`house.py`)."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewise.errors import EdgewiseError, NotReady
from edgewise.types import Event, Privacy, Question, Sampling, Upload
from router.egress.verify import verified
from tests.faults.house import House, house, signalled
from tests.faults.invariants import Heard
from tests.faults.stand import Misbehaving
from tests.stack import ADDRESSES, children, edgewise, runs, wait_until

LONG = Sampling(max_tokens=600)
STORY = "Tell me a long story about a harbour and its ships."


@pytest.fixture(scope="module")
def upstream() -> Iterator[Misbehaving]:
    with Misbehaving() as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, upstream: Misbehaving) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house") / "data", upstream) as opened:
        opened.is_well()
        opened.is_well()
        yield opened


@pytest.fixture
def home(shared: House) -> Iterator[House]:
    """As it was before, when a fault is over."""
    threads, files = shared.taken()
    yield shared
    shared.is_well()
    wait_until(
        lambda: (now := shared.taken())[0] <= threads + 2 and now[1] <= files + 6,
        f"threads and descriptors came back to {threads} and {files}: {shared.taken()}",
    )


async def meanwhile(home: House, sign: signal.Signals, pid: int, question: Question) -> Heard:
    """A question that is being answered when a process gets a signal."""
    begun = asyncio.Event()
    asking = asyncio.create_task(home.asks(question, begun))
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait({asking, waiting}, return_when=asyncio.FIRST_COMPLETED)
    signalled(pid, sign)
    waiting.cancel()
    return await asking


# --- the edge ---------------------------------------------------------------------------------------------------------


def test_the_edge_is_killed_before_a_question(home: House) -> None:
    signalled(home.edge_pid, signal.SIGKILL)
    for question in (home.private("cloud_only"), home.private("auto")):
        heard = home.ask(question)
        assert heard.done is None or heard.done.author == "edge"


def test_the_edge_is_killed_in_the_middle_again_and_again(home: House) -> None:
    """What it was asked privately goes nowhere else, and what is asked meanwhile waits for the next one."""
    arrived = len(home.upstream.requests)
    for mode in ("auto", "post_arbitration"):
        story = home.private(mode, about=f"{STORY} One is called", sampling=LONG)
        heard = asyncio.run(meanwhile(home, signal.SIGKILL, home.edge_pid, story))
        assert heard.error is not None
        assert heard.error.code == "FAILED_PRECONDITION"
        assert heard.tokens
        assert home.ask(home.public("edge_only")).done is not None
    assert len(home.upstream.requests) == arrived


def test_the_edge_hangs(home: House) -> None:
    """It takes connections and says nothing; a caller with a limit is answered when that is over."""
    stopped = home.edge_pid
    signalled(stopped, signal.SIGSTOP)
    try:
        for question in (home.public("edge_only", max_latency_s=1), home.private("post_arbitration", max_latency_s=1)):
            heard = home.ask(question)
            assert heard.error is not None
            assert heard.error.code == "DEADLINE_EXCEEDED"
    finally:
        signalled(stopped, signal.SIGCONT)


def test_the_edge_has_no_memory_left(home: House) -> None:
    """Whatever gives way, every question has one end, and the next edge has what it needs."""
    starved = home.edge_pid
    used = int(Path(f"/proc/{starved}/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
    resource.prlimit(starved, resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
    for number in range(3):
        home.ask(home.public("edge_only", text=f"{STORY * 20} {number}", sampling=LONG, max_latency_s=10))
    signalled(starved, signal.SIGKILL)


# --- the gateway ------------------------------------------------------------------------------------------------------


def test_the_gateway_is_killed_in_the_middle(home: House) -> None:
    home.upstream.behaves = "hang-midway"
    heard = asyncio.run(meanwhile(home, signal.SIGKILL, home.cloud_pid, home.public()))
    assert heard.error is not None
    assert heard.error.code == "UNAVAILABLE"
    assert heard.record is not None
    assert heard.record.cost_usd is None


def test_the_gateway_hangs(home: House) -> None:
    stopped = home.cloud_pid
    signalled(stopped, signal.SIGSTOP)
    try:
        heard = home.ask(home.public("cloud_only", max_latency_s=1))
        assert heard.error is not None
        assert heard.error.code == "DEADLINE_EXCEEDED"
        assert heard.record is not None
        assert heard.record.cost_usd is None, "it may have had the request"
    finally:
        signalled(stopped, signal.SIGCONT)


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_the_disk_is_full(home: House) -> None:
    """Nothing can be written down: so nothing leaves, and no answer is given that would have no record."""
    arrived = len(home.upstream.requests)
    with home.full_disk(home.daemon.process.pid):
        for question in (home.public("cloud_only"), home.private("edge_only")):
            heard = home.ask(question)
            assert isinstance(heard.error, NotReady)
            assert "nor can it wait on disk" in heard.error.message
    assert len(home.upstream.requests) == arrived


def test_the_disk_is_full_for_documents(home: House) -> None:
    document = Upload(source="notes.md", data=b"# Notes\n\nThe lighthouse is green.\n" * 400, label=Privacy.PRIVATE)

    async def ingested() -> tuple[str, str]:
        async with home.daemon.client() as client:
            results = [one async for one in client.ingest([document])]
            return results[-1].status, results[-1].reason

    with home.full_disk(home.edge_pid):
        try:
            status, reason = asyncio.run(ingested())
        except EdgewiseError as error:
            status, reason = "FAILED", error.message
        assert (status, bool(reason)) == ("FAILED", True)
        assert home.ask(home.private("edge_only")).done is not None
    assert asyncio.run(ingested())[0] == "INGESTED"


def test_a_second_daemon_is_refused(home: House) -> None:
    done = edgewise("up", *ADDRESSES, data_dir=home.daemon.data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert str(home.daemon.data_dir) in done.stderr


# --- the daemon -------------------------------------------------------------------------------------------------------


def test_the_daemon_is_killed_and_then_ended_with_a_question_under_way(tmp_path: Path, upstream: Misbehaving) -> None:
    """A kill leaves no process, and a log that goes on; SIGTERM lets the answer end."""
    upstream.reset()
    upstream.behaves = "hang-midway"

    async def killed(home: House) -> None:
        async with home.daemon.client() as client:
            events = client.ask(home.public())
            await anext(events)
            os.kill(home.daemon.process.pid, signal.SIGKILL)
            with pytest.raises(EdgewiseError):
                async for _ in events:
                    pass

    with house(tmp_path / "data", upstream) as home:
        parts = list(children(home.daemon.process.pid))
        asyncio.run(killed(home))
        home.daemon.process.wait(10)
    wait_until(lambda: not any(map(runs, parts)), "its children ended")

    with house(tmp_path / "data", upstream) as home:
        home.is_well()
        parts = list(children(home.daemon.process.pid))
        pid = home.daemon.process.pid
        heard = asyncio.run(_ended(home, pid))
        assert heard.done is not None or heard.error is not None
        assert home.daemon.process.wait(30) == 0
    wait_until(lambda: not any(map(runs, parts)), "its children ended")
    proof = verified(tmp_path / "data")
    assert proof.intact
    assert proof.open <= 1, "the try of the killed daemon has no end"


async def _ended(home: House, pid: int) -> Heard:
    events: list[Event] = []
    error: EdgewiseError | None = None
    async with asyncio.timeout(60), home.daemon.client() as client:
        try:
            async for event in client.ask(home.public("edge_only", text=STORY, sampling=Sampling(max_tokens=60))):
                if not events:
                    os.kill(pid, signal.SIGTERM)
                events.append(event)
        except EdgewiseError as failure:
            error = failure
    return Heard(tuple(events), error)
