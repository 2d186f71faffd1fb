"""Another try at the same upstream, where it may help and where somebody pays for it."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from cloud.backends import Backend
from cloud.backends.failure import may_pass
from cloud.backends.figures import UpstreamFigures
from edgewise.errors import EdgewiseError
from edgewise.types import Chunk, Completion, Options, Prompt, SideStatus

log = logging.getLogger(__name__)

_BACKOFF_S, _LONGEST_BACKOFF_S = 0.25, 8.0


class Allowance:
    """How many retries the calls of an upstream may make together: `share` of them, and a few more.

    A token bucket, as in Finagle's retry budget and gRPC's retry throttling: a call adds `share`, a retry takes one.
    Without it an upstream that fails gets `attempts` times the load at the worst moment.
    """

    def __init__(self, share: float, few: float = 10.0) -> None:
        self._share = share
        self._most = self._left = few

    def earn(self) -> None:
        self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Retried:
    """Tries again while nothing has been answered and the failure may pass: at most `attempts` times in all.

    It waits as long as the server asks (Retry-After), with a growing and jittered pause of its own at least. A wait
    that fits neither `budget_s` nor the caller's time is not begun: the failure comes at once, with `retry_after_s`.
    """

    def __init__(
        self,
        backend: Backend,
        allowance: Allowance,
        figures: UpstreamFigures,
        *,
        attempts: int,
        budget_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._backend = backend
        self._allowance = allowance
        self._figures = figures
        self._attempts = attempts
        self._budget_s = budget_s
        self._clock = clock
        self._sleep = sleep

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        self._allowance.earn()
        began, tried, has_begun, left = self._clock(), 0, False, options
        while True:
            tried += 1
            try:
                async with aclosing(self._backend.generate(prompt, left)) as events:
                    async for event in events:
                        has_begun = True
                        yield event
                    return
            except EdgewiseError as error:
                if has_begun or tried >= self._attempts or not may_pass(error):
                    raise
                pause_s = _pause(tried, error.retry_after_s)
                spent_s = self._clock() - began + pause_s
                if spent_s > self._budget_s or spent_s >= (
                    math.inf if options.timeout_s is None else options.timeout_s
                ):
                    raise
                if not self._allowance.spend():
                    self._figures.denied += 1
                    raise
                log.info("%s: try %d follows in %.2f s: %s", self._figures.name, tried + 1, pause_s, error.message)
            self._figures.retries += 1
            await self._sleep(pause_s)
            if options.timeout_s is not None:
                left_s = max(0.0, options.timeout_s - (self._clock() - began))
                left = options.model_copy(update={"timeout_s": left_s})

    async def status(self) -> SideStatus:
        return await self._backend.status()

    async def close(self) -> None:
        await self._backend.close()


def _pause(tried: int, asked_s: float | None) -> float:
    """Seconds after the try of this number: never none, or a server that only says 429 would be asked in a loop."""
    backoff_s = min(_LONGEST_BACKOFF_S, _BACKOFF_S * 2.0 ** (tried - 1))
    jittered_s = backoff_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
    return jittered_s if asked_s is None else max(jittered_s, asked_s + 0.1 * jittered_s)
