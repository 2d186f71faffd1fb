"""A part of Edgewise in a process of its own, kept alive: the crash boundary around llama.cpp.

The child prints `ready grpc=ADDRESS` when it can answer, and ends when its standard input closes, so that it never
outlives its parent, however that dies.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Self

from edgewise.errors import EdgewiseError

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0


class Child:
    """Runs `python -m ARGUMENTS`, and again whenever it ends by itself, after a pause that grows up to ten seconds."""

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
        self._failure: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

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
            reason = self._failure or f"it was not ready within {self._start_timeout_s:g} s; see the log"
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
        pause, was_ready = _FIRST_PAUSE_S, False
        while True:
            error_lines = await self._run_once()
            was_ready, started_now = was_ready or self._ready.is_set(), self._ready.is_set()
            self._ready.clear()
            code = self._process.returncode if self._process else None
            last = error_lines[-1].removeprefix("error: ") if error_lines else f"it ended with code {code}"
            self._failure = last
            if not was_ready:
                return
            log.error("the %s ended (code %s: %s); it is started again", self._name, code, last)
            pause = _FIRST_PAUSE_S if started_now else min(pause * 2, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause)

    async def _run_once(self) -> list[str]:
        """Runs the child to its end; the last lines of its standard error."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            process_group=0,  # Ctrl-C in a terminal is for us; we end our children in order
        )
        lines: list[str] = []
        await asyncio.gather(self._watch_output(process), self._pass_errors_on(process, lines))
        await process.wait()
        return lines

    async def _watch_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.startswith(b"ready "):
                self._ready.set()

    async def _pass_errors_on(self, process: asyncio.subprocess.Process, lines: list[str]) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode(errors="replace").rstrip()
            lines.append(text)
            del lines[:-20]
            if self._ready.is_set():
                print(text, file=sys.stderr)  # noqa: T201 - the log of the child goes where ours goes
