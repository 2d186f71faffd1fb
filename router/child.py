"""A part of Edgewise in a process of its own, kept alive: the crash boundary around llama.cpp.

The child prints `ready grpc=ADDRESS` when it can answer, and ends when its standard input closes, so that it never
outlives its parent, however that dies.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self

from edgewise.errors import EdgewiseError

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_STABLE_S = 60.0
_LONGEST_LINE = 64 * 1024
_LONGEST_REASON = 500


class Child:
    """Runs `python -m ARGUMENTS`, and again whenever it ends by itself.

    The pause before that grows up to ten seconds, until the child has lived for a minute: one that dies of the first
    question that it gets, again and again, must not keep the machine busy with loading its model.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        unavailable: type[EdgewiseError],
        start_timeout_s: float = 120,
    ) -> None:
        self._name = name
        self._command = (sys.executable, "-m", *arguments)
        self._environment = {**os.environ, **environment}
        self._unavailable = unavailable
        self._start_timeout_s = start_timeout_s
        self._ready = asyncio.Event()
        self._restarts = 0
        self._reason = ""
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def restarts(self) -> int:
        """How often it has ended by itself after it had once been ready."""
        return self._restarts

    @property
    def reason(self) -> str:
        """Why it last ended by itself; empty while it never has."""
        return self._reason

    async def start(self) -> Self:
        """Returns when the child is ready; its own error message, if it cannot start at all."""
        self._keeper = asyncio.create_task(self._keep_alive())
        await self.ready()
        return self

    async def ready(self) -> None:
        """Returns when the child can answer: at once, or after its restart."""
        waiting = asyncio.create_task(self._ready.wait())
        try:
            if not self._ready.is_set() and self._keeper is not None:
                await asyncio.wait(
                    {waiting, self._keeper}, timeout=self._start_timeout_s, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            waiting.cancel()
        if not self._ready.is_set():
            reason = self._reason or f"it was not ready within {self._start_timeout_s:g} s; see the log"
            raise self._unavailable(f"the {self._name} does not run: {reason}")

    async def stop(self) -> None:
        """Closes the child's standard input and waits for its end; kills it if it takes longer than five seconds."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _keep_alive(self) -> None:
        pause, was_ready = 0.0, False
        while True:
            started = time.monotonic()
            code, last_line = await self._run_once()
            was_ready = was_ready or self._ready.is_set()
            self._ready.clear()
            self._reason = why(code, last_line)
            if not was_ready:
                return
            self._restarts += 1
            pause = next_pause(pause, time.monotonic() - started)
            log.error("the %s ended: %s; it is started again in %.1f s", self._name, self._reason, pause)
            await asyncio.sleep(pause)

    async def _run_once(self) -> tuple[int, str]:
        """Runs the child to its end; its return code, and the last line of its standard error."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            process_group=0,  # Ctrl-C in a terminal is for us; we end our children in order
        )
        _, last_line = await asyncio.gather(self._watch_output(process), self._pass_errors_on(process))
        return await process.wait(), last_line

    async def _watch_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in _lines(process.stdout):
            if line.startswith("ready "):
                self._ready.set()

    async def _pass_errors_on(self, process: asyncio.subprocess.Process) -> str:
        assert process.stderr is not None
        last_line = ""
        async for line in _lines(process.stderr):
            last_line = line or last_line
            if self._ready.is_set():
                print(line, file=sys.stderr)  # noqa: T201 - the log of the child goes where ours goes
        return last_line


def next_pause(pause: float, lived_s: float) -> float:
    """Seconds to wait after the end of a child that has lived so long, and before which `pause` was waited."""
    return _FIRST_PAUSE_S if not pause or lived_s >= _STABLE_S else min(pause * 2, _LONGEST_PAUSE_S)


def why(code: int, last_line: str) -> str:
    """Why a process ended, in words, from its return code (negative: a signal) and what it said last."""
    said = last_line.removeprefix("error: ")[:_LONGEST_REASON]
    if code >= 0:
        return said or f"it ended with code {code}"
    if code == -signal.SIGKILL:
        return "killed by SIGKILL (perhaps out of memory)"
    name = _name(-code)
    return f"killed by {name}: {said}" if said and name == "SIGABRT" else f"killed by {name}"  # what aborts says why


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time signals
        return f"signal {number}"


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """The lines of a stream. One of over 64 KiB, at which asyncio's own way gives up, comes in pieces."""
    rest = b""
    while data := await stream.read(_LONGEST_LINE):
        *whole, rest = (rest + data).split(b"\n")
        if len(rest) >= _LONGEST_LINE:
            whole, rest = [*whole, rest], b""
        for line in whole:
            yield line.decode(errors="replace").rstrip()
    if rest:
        yield rest.decode(errors="replace").rstrip()
