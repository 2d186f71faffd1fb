"""How a server ends: when it is told to, after its calls."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import grpc

from edgewise.admission import Admission
from edgewise.errors import EdgewiseError
from edgewise.health import Health


class Drain:
    """Health says NOT_SERVING, new calls are refused with `refusal`, and running ones may end.

    The server goes on listening meanwhile, so that a load balancer sees why and a caller hears when to come again.
    """

    def __init__(self, admission: Admission, health: Health, refusal: EdgewiseError) -> None:
        self._admission = admission
        self._health = health
        self._refusal = refusal

    async def run(self, grace_s: float) -> None:
        """Until no call runs, or `grace_s` is over."""
        self._health.end()
        self._admission.close(self._refusal)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._admission.idle()


async def run_until_stopped(
    server: grpc.aio.Server,
    *,
    on_ready: Callable[[], None],
    grace_s: float = 10.0,
    until_stdin_closes: bool = False,
    drain: Drain | None = None,
) -> None:
    """Serve until SIGTERM or, if wanted, the end of standard input; then let running calls end for `grace_s` seconds.

    `on_ready` is called when a signal would be heeded, which is when the world may be told that we are there.
    Ctrl-C stops it as well, and surfaces as KeyboardInterrupt. A parent that holds the other end of standard input
    thus takes its child along, however it ends.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    if until_stdin_closes:
        threading.Thread(target=_wait_for_end_of_stdin, args=(loop, stopped), daemon=True).start()
    try:
        on_ready()
        await stopped.wait()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        if drain is None:
            await server.stop(grace_s)
        else:
            await drain.run(grace_s)
            await server.stop(0.1)  # the last words of a call that has just ended are on their way


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    while os.read(0, 65536):
        pass
    with suppress(RuntimeError):  # the loop is closed: the server has stopped for another reason
        loop.call_soon_threadsafe(stopped.set)
