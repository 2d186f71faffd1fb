"""`up`, `status` and `stop`: what a daemon leaves where, who may have it, and how it ends."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import stat
import subprocess
import urllib.request
from pathlib import Path

import pytest

from edgewise.client import Client
from edgewise.errors import EdgeUnavailable
from edgewise.types import Done, Event, Question, Sampling, Token
from tests.stack import (
    ADDRESSES,
    EDGEWISE,
    Daemon,
    child,
    children,
    edgewise,
    environment,
    runs,
    up,
    wait_until,
)

PARIS = Question(text="What is the capital of France?", mode="edge_only")
STORY = Question(text="Tell me a long story.", mode="edge_only", sampling=Sampling(max_tokens=300))


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def ask(daemon: Daemon, question: Question = PARIS) -> str:
    async with daemon.client() as client:
        return (await client.answer(question)).text


def test_a_daemon_from_start_to_end(tmp_path: Path) -> None:
    place = tmp_path / "new" / "data"
    with up(place) as daemon:
        assert re.fullmatch(r"127\.0\.0\.1:\d+", daemon.grpc)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", daemon.http)
        described = json.loads((place / "daemon.json").read_text())
        assert described["pid"] == daemon.process.pid
        assert (described["grpc"], described["http"]) == (daemon.grpc, daemon.http)
        assert permissions(place / "token") == permissions(place / "edgewise.sock") == 0o600
        assert "privacy: " in daemon.log.read_text()
        assert asyncio.run(ask(daemon))

        shown = edgewise("status", "--data-dir", place)
        assert shown.returncode == 0
        for words in (str(daemon.process.pid), daemon.grpc, daemon.http, "0 documents", "cloud     none"):
            assert words in shown.stdout
        parts = list(children(daemon.process.pid))
        assert len(parts) == 1

        second = edgewise("up", *ADDRESSES, data_dir=place)
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr.startswith(f"error: another edgewise owns {place}; use it")
        other = tmp_path / "other"
        http = daemon.http.removeprefix("http://")
        for options, taken in (
            (("--grpc-address", daemon.grpc, "--http-address", "127.0.0.1:0"), daemon.grpc),
            (("--grpc-address", "127.0.0.1:0", "--http-address", http), http),
        ):
            refused = edgewise("up", *options, data_dir=other)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert f"error: {taken} is in use; stop what listens there" in refused.stderr
        unused = edgewise("up", *ADDRESSES, "--corpus", place, data_dir=other)
        assert (unused.returncode, unused.stdout, "--embedded-cloud" in unused.stderr) == (2, "", True)
        assert asyncio.run(ask(daemon)), "the first one lives on"

        stopped = edgewise("stop", "--data-dir", place)
        assert (stopped.returncode, stopped.stdout) == (0, f"stopped process {daemon.process.pid}\n")
        assert daemon.process.wait(10) == 0
        assert not any(map(runs, parts))
    assert not (place / "edgewise.sock").exists()
    assert not (place / "daemon.json").exists()
    assert (place / "token").exists()
    nobody = edgewise("status", "--data-dir", place)
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "start one with `edgewise up`" in nobody.stderr
    assert edgewise("stop", "--data-dir", place).stdout == f"no daemon owns {place}\n"


def test_the_page_of_a_daemon_is_found_and_its_token_told_only_when_asked_for(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with up(place) as daemon:
        token = (place / "token").read_text().strip()
        assert f"page: {daemon.http}/ " in daemon.log.read_text()
        shown = edgewise("status", "--data-dir", place)
        assert f"page      {daemon.http}/ " in shown.stdout
        assert token not in shown.stdout + daemon.log.read_text()
        page = edgewise("status", "--page", "--data-dir", place)
        assert (page.returncode, page.stdout) == (0, f"{daemon.http}/#token={token}\n")
        with urllib.request.urlopen(f"{daemon.http}/") as found:
            assert b"<title>Edgewise</title>" in found.read()
        asked = urllib.request.Request(f"{daemon.http}/page/overview", headers={"authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked) as found:
            overview = json.load(found)
        assert (overview["edge"]["ready"], overview["cloud"]["label"]) == (True, "none")
    with up(tmp_path / "open", "--no-auth") as daemon:
        page = edgewise("status", "--page", "--data-dir", tmp_path / "open")
        assert page.stdout == f"{daemon.http}/\n"
        with urllib.request.urlopen(f"{daemon.http}/page/records") as found:
            assert json.load(found) == {"records": []}


def test_a_killed_daemon_leaves_nothing_that_matters(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with up(place, "--embedded-cloud") as daemon:
        asyncio.run(ask(daemon))
        parts = list(children(daemon.process.pid))
        assert len(parts) == 2
        daemon.process.kill()
        daemon.process.wait(10)
        wait_until(lambda: not any(map(runs, parts)), "its children ended")
        assert (place / "daemon.json").exists()
        assert edgewise("status", "--data-dir", place).returncode == 1
    with up(place) as daemon:
        events, before = asyncio.run(ask_and_terminate(daemon))
        assert before == 1
        assert isinstance(events[-1], Done), "running answers may end"
        assert len(events) > 10
        assert daemon.process.wait(20) == 0


async def ask_and_terminate(daemon: Daemon) -> tuple[list[Event], int]:
    """The events of an answer in whose midst SIGTERM comes, twice, and how many records there were before."""
    events: list[Event] = []
    async with daemon.client() as client:
        before = len(await client.records())
        async for event in client.ask(STORY):
            if not events:
                daemon.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.05)
                daemon.process.send_signal(signal.SIGTERM)
            events.append(event)
    return events, before


def test_an_app_is_told_that_no_daemon_is_there(tmp_path: Path) -> None:
    with pytest.raises(EdgeUnavailable, match="edgewise up"):
        Client.local(tmp_path)


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_while_it_starts(tmp_path: Path, sign: signal.Signals, code: int) -> None:
    command = [EDGEWISE, "up", *ADDRESSES, "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(lambda: len(children(process.pid)) == 1, "the edge was started")
            part = child(process.pid, "edge")
            process.send_signal(sign)
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, output) == (code, "")
    assert "Traceback" not in errors
    wait_until(lambda: not runs(part), "the edge ended")


def test_places_where_it_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    long = tmp_path / ("x" * 100)
    for code, words, place, *options in (
        (2, "not a loopback address", tmp_path, "--grpc-address", "0.0.0.0:0"),
        (2, "shorter path", long),
        (1, "file cannot be used", tmp_path / "file"),
    ):
        done = edgewise("up", *options, "--data-dir", place)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert not long.exists()


def test_without_authentication_everybody_here_may_ask_until_ctrl_c(tmp_path: Path) -> None:
    async def main(daemon: Daemon) -> None:
        async with Client(daemon.grpc) as client:
            events = [event async for event in client.ask(PARIS)]
            assert any(isinstance(event, Token) for event in events)

    with up(tmp_path / "data", "--no-auth") as daemon:
        asyncio.run(main(daemon))
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(20) == 130
    assert "warning: no token" in daemon.log.read_text()
    assert "Traceback" not in daemon.log.read_text()
    assert not (tmp_path / "data" / "edgewise.sock").exists()
