"""A circuit breaker: an upstream that fails is left alone, and asked again by one call at a time."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from cloud.backends import Backend
from cloud.backends.failure import Failure, is_elsewhere_better
from cloud.backends.figures import UpstreamFigures
from edgewise.errors import DeadlineExceeded, EdgewiseError, Overloaded
from edgewise.types import Chunk, Completion, Options, Prompt, SideStatus

log = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 60.0
_LONGEST_ASKED_S = 300.0  # a server may ask for more, and is tried again before


class Breaker:
    """After `failures` in a row nothing is sent for `pause_s`; then one call is, the probe, while others are refused.

    The probe's first token lets the others in again. The pause doubles each time until an answer has come to its end,
    up to a minute, and is jittered.

    What counts is what a caller of this upstream could not have avoided: no connection, silence, 5xx, garbage, a
    refused key. Not what the request itself is refused for, nor a caller who leaves. A caller's deadline counts if it
    left `patience_s` for a first token. A 429 is no failure, because the server is there; but for as long as it asks
    for (Retry-After) nothing more is sent to it.
    """

    def __init__(
        self,
        backend: Backend,
        figures: UpstreamFigures,
        *,
        failures: int = 5,
        pause_s: float = 2.0,
        patience_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._backend = backend
        self._figures = figures
        self._most = failures
        self._first_pause_s = self._pause_s = pause_s
        self._patience_s = patience_s
        self._clock = clock
        self._jitter = jitter
        self._failed = 0
        self._until = 0.0  # when the next probe may go
        self._probe: object = None
        self._last = ""
        self._held_until = 0.0

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        call, is_heard = object(), False
        self._enter(call)
        self._figures.tries += 1
        try:
            async with aclosing(self._backend.generate(prompt, options)) as events:
                async for event in events:
                    if not is_heard:
                        is_heard = True
                        self._heard(call)
                    if isinstance(event, Completion):
                        self._answered()
                    yield event
        except EdgewiseError as error:
            self._judge(call, error, options, is_heard=is_heard)
            raise
        finally:
            if self._probe is call:  # it ended without telling anything: the next one is the probe
                self._probe = None
                self._until = self._clock()
                self._figures.state = "open"

    async def status(self) -> SideStatus:
        status = await self._backend.status()
        reason = self._why_not()
        return status.model_copy(update={"ready": False, "reason": reason.message}) if reason else status

    async def close(self) -> None:
        await self._backend.close()

    def _enter(self, call: object) -> None:
        if (reason := self._why_not()) is not None:
            raise reason
        if self._figures.state == "open":
            self._figures.state = "half-open"
            self._probe = call
            log.info("%s: one call is sent to see whether it works again", self._figures.name)

    def _why_not(self) -> EdgewiseError | None:
        now, name = self._clock(), self._figures.name
        if self._held_until > now:
            wait = self._held_until - now
            return Overloaded(f"{name} asked for {wait:.3g} s without calls (429); try again then", retry_after_s=wait)
        if self._figures.state == "closed":
            return None
        wait = max(self._until - now, 0.0)
        if self._probe is None and wait == 0:
            return None
        why = f"failed {self._failed} times in a row ({self._last})"
        if self._probe is not None:
            return Failure(f"{name} {why}, and one call is finding out whether it works again", retry_after_s=1.0)
        return Failure(f"{name} {why}, and is left alone for {wait:.3g} s; ask again then", retry_after_s=wait)

    def _heard(self, call: object) -> None:
        if self._probe is call:
            self._probe = None
            self._figures.state = "closed"
            self._failed = self._most - 1  # a first token is a sign of life, and an answer that breaks off is one less
            log.warning("%s works again", self._figures.name)

    def _answered(self) -> None:
        self._figures.answers += 1
        if self._figures.state == "closed":
            self._failed = 0
            self._pause_s = self._first_pause_s

    def _judge(self, call: object, error: EdgewiseError, options: Options, *, is_heard: bool) -> None:
        if isinstance(error, Overloaded):
            self._figures.overloaded += 1
            if error.retry_after_s:
                self._held_until = self._clock() + min(error.retry_after_s, _LONGEST_ASKED_S)
            self._heard(call)
            return
        if not self._counts(error, options, is_heard=is_heard):
            if self._probe is call and not isinstance(error, DeadlineExceeded):
                self._heard(call)  # it said what is wrong with the request, so it is there
            return
        self._figures.failures += 1
        self._last = error.message
        if self._probe is call or self._figures.state == "closed":
            self._failed += 1
        if self._probe is call or (self._figures.state == "closed" and self._failed >= self._most):
            self._open(error)

    def _counts(self, error: EdgewiseError, options: Options, *, is_heard: bool) -> bool:
        if isinstance(error, DeadlineExceeded):
            return not is_heard and (options.timeout_s or 0.0) >= self._patience_s
        return is_elsewhere_better(error)

    def _open(self, error: EdgewiseError) -> None:
        self._probe = None
        pause_s = max(self._jitter(0.5, 1.0) * self._pause_s, min(error.retry_after_s or 0.0, _LONGEST_ASKED_S))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)  # of the next time, unless an answer comes before
        self._until = self._clock() + pause_s
        self._figures.state = "open"
        self._figures.opened += 1
        log.warning(
            "%s failed %d times in a row and is left alone for %.3g s", self._figures.name, self._failed, pause_s
        )
