"""Several callers, one piece of work at a time: what is wanted while a piece runs is the next piece, as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

T = TypeVar("T")
_A_MOMENT_S = 0.002


class Together(Generic[T]):
    """`work` is done on a thread; it gets all that was wanted meanwhile and gives an error, or None, for each of it.

    What had company the last time waits a moment for company: a piece costs nearly the same for one as for several.
    """

    def __init__(self, thread: Executor, work: Callable[[Sequence[T]], Sequence[Exception | None]]) -> None:
        self._thread = thread
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._is_busy = False
        self._had_company = False

    def do(self, wanted: T) -> asyncio.Future[None]:
        """Over when it is done, or says why it is not. It is done, too, if nobody waits for it so long."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((wanted, done))
        if not self._is_busy:
            self._begin_soon()
        return done

    def _begin_soon(self) -> None:
        self._is_busy = True
        if self._had_company:
            self._loop.call_later(_A_MOMENT_S, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        now, self._waiting = self._waiting, []
        self._had_company = len(now) > 1
        try:
            working = self._thread.submit(self._work, [wanted for wanted, _ in now])
        except RuntimeError as error:  # the thread has ended: nobody shall wait for it
            self._is_busy = False
            for _, done in now:
                if not done.done():
                    done.set_exception(error)
            return
        working.add_done_callback(lambda work: self._loop.call_soon_threadsafe(self._ended, now, work))

    def _ended(self, now: Sequence[tuple[T, asyncio.Future[None]]], work: Future[Sequence[Exception | None]]) -> None:
        failure = work.exception()
        errors = [failure] * len(now) if failure is not None else work.result()
        for (_, done), error in zip(now, errors, strict=True):
            if done.done():  # its caller has gone
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._is_busy = False
        if self._waiting:
            self._begin_soon()
