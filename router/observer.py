"""Who is told of every answer and of every grade: Prometheus metrics, and telemetry where it is on."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from typing import Protocol

from edgewise.types import Grade, Record
from router.meter import SideCall

log = logging.getLogger(__name__)


class Observer(Protocol):
    """Told at once, on the event loop: it does not block, and keeps no text that it does not need."""

    def observe(self, record: Record, calls: tuple[SideCall, ...]) -> None:
        """An answer ended, well or not; `calls` are its side calls in the order in which they ended."""

    def graded(self, record: Record, grade: Grade) -> None:
        """Somebody graded an answer, perhaps long after it."""


class Observers:
    """Several observers as one. One that fails is logged and never fails a request."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def observe(self, record: Record, calls: tuple[SideCall, ...]) -> None:
        self._tell(lambda observer: observer.observe(record, calls))

    def graded(self, record: Record, grade: Grade) -> None:
        self._tell(lambda observer: observer.graded(record, grade))

    def _tell(self, news: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                news(observer)
            except Exception as error:  # noqa: BLE001 - a boundary; the text of an error may have content in it
                what, where = type(error).__name__, traceback.extract_tb(error.__traceback__)[-1]
                who = type(observer).__name__
                log.error("%s failed (%s in %s:%s); the answer did not", who, what, where.filename, where.lineno)  # noqa: TRY400


def grader_kind(grader: str) -> str:
    """`judge`, `reference` or `user`: graders' own names are people's, and there are any number of them.

    A grader is named for its kind, then perhaps for itself: `judge:large-model`, `reference:f1`. Any other is a user.
    """
    kind = grader.partition(":")[0].strip().lower()
    return kind if kind in {"judge", "reference"} else "user"
