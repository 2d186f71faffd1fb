"""The thread that owns llama.cpp: it takes jobs from a bounded queue, and works on one at a time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

from edge.llama.native import Aborted, Flag, Native
from edgewise.errors import EdgeUnavailable, EdgewiseError, Internal, Overloaded

log = logging.getLogger(__name__)

T = TypeVar("T")
Steps = Callable[[Native, float], Iterator[T]]
"""Work on the owner thread, item by item; the number is the seconds that it has waited for its turn."""

_CLOSED = "the engine was closed; start it again"


class Job(Generic[T]):
    """Steps and their audience: items go to the event loop that made the job."""

    def __init__(self, steps: Steps[T]) -> None:
        self.flag = Flag()
        self._steps = steps
        self._submitted = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[T | EdgewiseError] = asyncio.Queue()

    async def next(self) -> T:
        """The next item, or what went wrong; which item is the last is up to the steps."""
        item = await self._items.get()
        if isinstance(item, EdgewiseError):
            raise item
        return item

    def run(self, native: Native) -> None:
        native.watch(self.flag)
        try:
            for item in self._steps(native, time.monotonic() - self._submitted):
                self.put(item)
        except Aborted:
            self.put(EdgeUnavailable(_CLOSED))
        except EdgewiseError as error:
            self.put(error)
        except Exception:  # the thread's boundary: a fault in one job must not end the engine
            log.exception("a job of the engine failed")
            native.clear()
            self.put(Internal("the engine failed; its log has the reason"))

    def put(self, item: T | EdgewiseError) -> None:
        """From any thread. A loop that is closed has nobody waiting."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)


class Owner:
    """`load` runs on the thread, and so does everything that touches what it makes."""

    def __init__(self, load: Callable[[], Native], max_queue: int) -> None:
        self.loaded: Future[Native] = Future()
        self._load = load
        self._max_queue = max_queue
        self._typical_s = 1.0
        self._changed = threading.Condition()
        self._closed = False
        self._waiting: deque[Job[Any]] = deque()
        self._running: Job[Any] | None = None
        self._thread = threading.Thread(target=self._work, name="edgewise-llama", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        return len(self._waiting)

    def submit(self, steps: Steps[T]) -> Job[T]:
        """Overloaded when the queue is full; it says when a place should become free."""
        job = Job(steps)
        with self._changed:
            if self._closed:
                raise EdgeUnavailable(_CLOSED)
            if len(self._waiting) >= self._max_queue:
                wait_s = round(self._typical_s, 1)
                raise Overloaded(
                    f"{self._max_queue} requests wait for the model already; try again in {wait_s} s",
                    retry_after_s=wait_s,
                )
            self._waiting.append(job)
            self._changed.notify()
        return job

    def withdraw(self, job: Job[Any]) -> None:
        """Forget a job that waits, stop one that runs; one that is done stays done."""
        with self._changed, suppress(ValueError):
            self._waiting.remove(job)
        job.flag.raise_()

    def close(self) -> None:
        """Stop what runs, refuse what waits, free the model; blocks until the thread has ended."""
        with self._changed:
            self._closed = True
            refused, running = tuple(self._waiting), self._running
            self._waiting.clear()
            self._changed.notify()
        for job in refused:
            job.put(EdgeUnavailable(_CLOSED))
        if running:
            running.flag.raise_()
        self._thread.join()

    def _work(self) -> None:
        try:
            native = self._load()
        except EdgewiseError as error:
            self.loaded.set_exception(error)
            return
        except Exception as error:  # the thread's boundary, as above
            log.exception("the engine failed to load")
            self.loaded.set_exception(Internal(f"the engine failed to load: {error}"))
            return
        self.loaded.set_result(native)
        while job := self._next():
            started = time.monotonic()
            job.run(native)
            self._typical_s += 0.2 * (time.monotonic() - started - self._typical_s)
        native.close()

    def _next(self) -> Job[Any] | None:
        with self._changed:
            self._running = None
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._running = self._waiting.popleft()
            return self._running
