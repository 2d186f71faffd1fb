"""A child that ends: said why, and started again after a pause that grows. The children are real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest

from edgewise.errors import EdgeUnavailable
from router.child import Child, next_pause, why
from tests.stack import wait_until

STAYS = "print('ready grpc=nowhere', flush=True)\nimport sys\nsys.stdin.read()\n"


def child(directory: Path, program: str) -> Child:
    (directory / "part.py").write_text(program)
    return Child("part", ("part",), {"PYTHONPATH": str(directory)}, EdgeUnavailable, start_timeout_s=20)


async def ended(part: Child, times: int) -> None:
    await asyncio.to_thread(wait_until, lambda: part.restarts == times, f"it ended {times} times")


@pytest.mark.parametrize(
    ("sign", "words"),
    [(signal.SIGSEGV, "killed by SIGSEGV"), (signal.SIGKILL, "killed by SIGKILL (perhaps out of memory)")],
)
def test_a_killed_child_comes_back_and_says_why(tmp_path: Path, sign: signal.Signals, words: str) -> None:
    async def main() -> None:
        part = await child(tmp_path, STAYS).start()
        try:
            first = part.pid
            assert first is not None
            assert (part.restarts, part.reason) == (0, "")
            for times in (1, 2):
                pid = part.pid
                assert pid is not None
                os.kill(pid, sign)
                await ended(part, times)
                assert part.reason == words
                await part.ready()
            assert part.pid not in {None, first}
        finally:
            await part.stop()
        assert part.pid is None

    asyncio.run(main())


def test_a_child_that_dies_as_soon_as_it_is_ready_is_started_ever_less_often(tmp_path: Path) -> None:
    program = "import time\nprint(time.monotonic(), file=open('{}', 'a'))\nprint('ready grpc=nowhere', flush=True)\n"
    starts = tmp_path / "starts"

    async def main() -> None:
        part = await child(tmp_path, program.format(starts)).start()
        await ended(part, 4)
        await part.stop()

    asyncio.run(main())
    times = [float(line) for line in starts.read_text().splitlines()]
    pauses = [later - earlier for earlier, later in pairwise(times[:4])]
    assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=True))


def test_the_pause_grows_until_the_child_has_lived_long_enough() -> None:
    pauses = [0.0]
    for _ in range(8):
        pauses.append(next_pause(pauses[-1], lived_s=5))
    assert pauses[1:] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    assert next_pause(10, lived_s=61) == 0.2


@pytest.mark.parametrize(
    ("code", "last_line", "words"),
    [
        (1, "error: the disk is full; make room", "the disk is full; make room"),
        (3, "", "it ended with code 3"),
        (0, "", "it ended with code 0"),
        (-signal.SIGSEGV, "answered record=1", "killed by SIGSEGV"),
        (-signal.SIGABRT, "GGML_ASSERT(n > 0) failed", "killed by SIGABRT: GGML_ASSERT(n > 0) failed"),
        (-signal.SIGABRT, "", "killed by SIGABRT"),
        (-40, "", "killed by signal 40"),
    ],
)
def test_the_reason_is_in_words(code: int, last_line: str, words: str) -> None:
    assert why(code, last_line) == words


def test_a_very_long_line_is_no_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    long = "import sys\nprint('x' * 1_000_000, file=sys.stderr, flush=True)\nprint('y' * 1_000_000, flush=True)\n"
    told = "print('ready grpc=nowhere', flush=True)\nprint('z' * 300_000, file=sys.stderr, flush=True)\nsys.exit(4)\n"

    async def main() -> None:
        part = await child(tmp_path, long + told).start()
        await ended(part, 1)
        assert part.reason.startswith("zzz")
        assert len(part.reason) < 1000
        await part.stop()

    asyncio.run(main())
    assert capfd.readouterr().err.count("z") == 300_000


def test_a_child_that_never_was_ready_is_not_started_again(tmp_path: Path) -> None:
    async def main() -> None:
        part = child(tmp_path, "import sys\nsys.exit('error: no model; pull one')\n")
        with pytest.raises(EdgeUnavailable, match="the part does not run: no model; pull one"):
            await part.start()
        assert part.restarts == 0
        started = time.monotonic()
        with pytest.raises(EdgeUnavailable):
            await part.ready()
        assert time.monotonic() - started < 5
        await part.stop()

    asyncio.run(main())
