"""The thread that owns llama.cpp: it takes in jobs, and lets the scheduler work while there are any."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from edge.llama.job import Job
from edge.llama.native import Native
from edge.llama.scheduler import CLOSED, Scheduler
from edgewise.errors import EdgeUnavailable, EdgewiseError, Internal

log = logging.getLogger(__name__)

T = TypeVar("T")

_FAILED = "the engine failed; its log has the reason"


class Owner:
    """`load` runs on the thread, and so does everything that touches what it makes; what it returns last runs last."""

    def __init__(self, load: Callable[[], tuple[Native, Scheduler, Callable[[], None]]]) -> None:
        self.loaded: Future[Native] = _certain()
        self._load = load
        self._changed = threading.Condition()
        self._arrived: list[Job] = []
        self._calls: list[Callable[[Native, Scheduler], None]] = []
        self._closed = False
        self._scheduler: Scheduler | None = None
        self._thread = threading.Thread(target=self._work, name="edgewise-llama", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        with self._changed:
            if self._closed:
                raise EdgeUnavailable(CLOSED)
            self._arrived.append(job)
            self._changed.notify()

    def withdraw(self, job: Job) -> None:
        """Stop a job, wherever it is; one that is over stays over."""
        job.flag.raise_()

    def call(self, function: Callable[[Native, Scheduler], T]) -> Future[T]:
        """Run a function on the thread, between two rounds."""
        future: Future[T] = _certain()

        def work(native: Native, scheduler: Scheduler) -> None:
            try:
                future.set_result(function(native, scheduler))
            except EdgewiseError as error:
                future.set_exception(error)
            except Exception:  # the thread's boundary, as below
                log.exception("a call of the engine failed")
                future.set_exception(Internal(_FAILED))

        with self._changed:
            if self._closed:
                raise EdgeUnavailable(CLOSED)
            self._calls.append(work)
            self._changed.notify()
        return future

    def close(self) -> None:
        """Refuse what waits, end what runs after its chunk, free the model; blocks until the thread has ended."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._scheduler:
            self._scheduler.interrupt()
        self._thread.join()

    def _work(self) -> None:
        try:
            native, scheduler, finish = self._load()
        except EdgewiseError as error:
            self.loaded.set_exception(error)
            return
        except Exception as error:  # the thread's boundary, as in the scheduler
            log.exception("the engine failed to load")
            self.loaded.set_exception(Internal(f"the engine failed to load: {error}"))
            return
        self._scheduler = scheduler
        self.loaded.set_result(native)
        while self._take_in(native, scheduler):
            try:
                scheduler.round()
            except Exception:
                log.exception("a round of the engine failed")
                scheduler.fail(Internal(_FAILED))
        scheduler.interrupt()
        scheduler.round()
        finish()
        native.close()

    def _take_in(self, native: Native, scheduler: Scheduler) -> bool:
        """What has arrived since the last round; waits for it if there is nothing else to do. False when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrived or self._calls or self._closed or not scheduler.is_idle)
            jobs, self._arrived = self._arrived, []
            calls, self._calls = self._calls, []
            is_open = not self._closed
        for job in jobs:
            scheduler.add(job)
        for call in calls:
            call(native, scheduler)
        return is_open


def _certain() -> Future[T]:
    """The thread answers it in any case, so a caller that leaves must not cancel it."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    return future
