"""What goes wrong around a daemon: a killed edge, damaged models, a cloud that fails, callers who leave."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import models
from edgewise.client import Answer
from edgewise.errors import EdgeUnavailable
from edgewise.types import Document, Question, Record, Sampling, SideStatus, Token
from tests.stack import ADDRESSES, EDGEWISE, Daemon, children, edgewise, environment, runs, up, wait_until

PARIS = "What is the capital of France?"
STORY = Question(text="Tell me a long story.", mode="edge_only", sampling=Sampling(max_tokens=1500))
# What the edge's own trust can never reach, so that every mode that may ask the cloud does.
ALWAYS_ASK = {"EDGEWISE_ROUTER__TRUST_THRESHOLD": "1", "EDGEWISE_ROUTER__GAIN_THRESHOLD": "0"}
NEED_CLOUD = ("cloud_only", "pre_arbitration", "post_arbitration", "post_arbitration+cascade", "cloud_info_edge_rag")


def answer_of(daemon: Daemon, question: Question) -> Answer:
    async def main() -> Answer:
        async with daemon.client() as client:
            return await client.answer(question)

    return asyncio.run(main())


def newest(daemon: Daemon) -> Record:
    async def main() -> Record:
        async with daemon.client() as client:
            return (await client.records(limit=1))[0]

    return asyncio.run(main())


# --- the edge ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with up(tmp_path_factory.mktemp("faults") / "data") as started:
        yield started


def test_a_killed_edge_fails_its_requests_and_comes_back(daemon: Daemon) -> None:
    killed = daemon.edge_pid

    async def main() -> tuple[str, Answer]:
        async with daemon.client() as client:
            events = client.ask(STORY)
            assert isinstance(await anext(events), Token)
            os.kill(killed, signal.SIGKILL)
            with pytest.raises(EdgeUnavailable) as caught:
                async for _ in events:
                    pass
            return caught.value.message, await client.answer(Question(text=PARIS, mode="edge_only"))

    message, answer = asyncio.run(main())
    assert "ask again" in message
    assert answer.text
    assert daemon.edge_pid != killed
    assert "the edge node ended: killed by SIGKILL" in daemon.log.read_text()

    async def broken() -> Record:
        async with daemon.client() as client:
            return (await client.records(limit=2))[1]

    record = asyncio.run(broken())
    assert (record.question, record.error) == (STORY.text, "UNAVAILABLE")


def status_of(daemon: Daemon) -> SideStatus:
    async def main() -> SideStatus:
        async with daemon.client() as client:
            return await client.edge_status()

    return asyncio.run(main())


def test_a_crash_shows_in_the_status_and_what_is_asked_meanwhile_waits(daemon: Daemon) -> None:
    before = status_of(daemon).restarts
    os.kill(daemon.edge_pid, signal.SIGSEGV)
    wait_until(lambda: status_of(daemon).restarts > before, "the crash was noticed")

    async def main() -> tuple[Document, ...]:
        async with daemon.client() as client:
            return await client.documents()

    assert asyncio.run(main()) == ()
    after = status_of(daemon)
    assert (after.ready, after.restarts, after.reason) == (True, before + 1, "killed by SIGSEGV")
    shown = edgewise("status", data_dir=daemon.data_dir)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"0 documents, 0 passages; ended {before + 1} times, last: killed by SIGSEGV" in shown.stdout


def test_who_leaves_frees_the_edge(daemon: Daemon) -> None:
    async def main() -> None:
        async with daemon.client() as client:
            events = client.ask(STORY)
            assert isinstance(await anext(events), Token)
            await events.aclose()
            await client.answer(Question(text=PARIS, mode="edge_only"))
            assert (await client.edge_status()).queued == 0
            later, left = await client.records(limit=2)
            assert (left.question, left.error) == (STORY.text, "CANCELLED")
            assert left.answer == ""
            assert left.usage.edge.completion_tokens < 100
            assert later.queue_s is not None
            assert later.queue_s < 2

    asyncio.run(main())


@pytest.mark.parametrize("fault", ["missing", "cut", "altered"])
def test_an_edge_that_cannot_start(tmp_path: Path, fault: str) -> None:
    """`up` fails with the words of its child."""
    good = models.locate(models.SMOLLM2.name)
    settings = {"EDGEWISE_EDGE__MODEL": str(tmp_path / "model.gguf")}
    words = "model.gguf cannot be read"
    match fault:
        case "cut":
            with good.open("rb") as whole:
                (tmp_path / "model.gguf").write_bytes(whole.read(30_000_000))
            words = "damaged"
        case "altered":
            shutil.copytree(models.SMOLLM2.directory.parent, tmp_path / "edgewise" / "models")
            with (tmp_path / "edgewise" / "models" / models.SMOLLM2.name / good.name).open("r+b") as file:
                file.seek(60_000_000)
                file.write(b"altered")
            settings, words = {"XDG_CACHE_HOME": str(tmp_path)}, "is corrupt: its SHA-256"
    done = edgewise("up", *ADDRESSES, data_dir=tmp_path / "data", settings=settings)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the edge node does not run: ")
    assert words in line


# --- the cloud --------------------------------------------------------------------------------------------------------


def degraded_answers(daemon: Daemon, words: str, modes: tuple[str, ...] = NEED_CLOUD) -> None:
    for mode in modes:
        done = answer_of(daemon, Question(text=PARIS, mode=mode, sampling=Sampling(max_tokens=12))).done
        assert (done.author, done.degraded) == ("edge", True), mode
        assert words in done.reason, mode
        record = newest(daemon)
        assert (record.degraded, record.reason) == (True, done.reason)


def test_a_cloud_that_cannot_be_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with up(tmp_path / "data", settings={**ALWAYS_ASK, "EDGEWISE_CLOUD__ADDRESS": f"127.0.0.1:{port}"}) as daemon:
        degraded_answers(daemon, f"127.0.0.1:{port} cannot be reached")
        for mode in ("edge_only", "agent", "auto"):
            assert answer_of(daemon, Question(text=PARIS, mode=mode)).done.author == "edge"
        done = edgewise("ask", PARIS, "--mode", "cloud_only", data_dir=daemon.data_dir)
        assert done.returncode == 0
        assert "degraded: " in done.stderr


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


def test_a_demo_that_is_interrupted_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    command = [EDGEWISE, "demo", "--limit", "1", "--out", str(out)]
    records = out / "records.jsonl"

    def rows() -> list[str]:
        return records.read_text().splitlines() if records.exists() else []

    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(lambda: len(rows()) >= 1, "a mode was asked", 60)
            parts = list(children(process.pid))
            assert len(parts) == 2
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, output) == (130, "")
    assert "the same command goes on" in " ".join(errors.split())
    assert "Traceback" not in errors
    wait_until(lambda: not any(map(runs, parts)), "its children ended")
    before = rows()
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert rows()[: len(before)] == before
    asked = [(row["id"], row["mode"]) for row in map(json.loads, rows())]
    assert len(set(asked)) == len(asked) > len(before)
    assert str(out / "report.html") in done.stdout
