"""The one thread that touches the database: what came while it wrote goes into its next transaction."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sql

from edgewise.accounts.account import Account
from edgewise.accounts.book import Book, account_of
from edgewise.accounts.database import Database
from edgewise.accounts.moments import Clock
from edgewise.accounts.tables import ACCOUNTS, FACTS
from edgewise.errors import EdgewiseError, NotReady

T = TypeVar("T")
log = logging.getLogger(__name__)

TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class Known:
    """The accounts that were there at `changes`, but for those that were revoked."""

    changes: float = -1
    by_digest: dict[str, Account] = field(default_factory=dict)
    by_name: dict[str, Account] = field(default_factory=dict)
    is_empty: bool = True


@dataclass(slots=True)
class _Work:
    do: Callable[[Book], Any]
    answer: Future[Any] | None


class Writer:
    """`ask` for what somebody waits for, `tell` what may be written half a second later.

    What is asked is on the disk when it is answered. What was told is kept until it is: while the database cannot be
    used, `trouble` says why, and nothing may be let in. Every half second the writer looks whether another process has
    changed the accounts: `known`, as of `seen_s` by the monotonic clock.
    """

    def __init__(self, file: Path, clock: Clock) -> None:
        self._database = Database(file)
        self._clock = clock
        self._wake = threading.Condition()
        self._queue: list[_Work] = []
        self._is_asked = self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="accounts", daemon=True)
        self.trouble = ""
        self.known = Known()
        self.seen_s = 0.0

    def start(self) -> None:
        """Blocks until the accounts have been read; NotReady."""
        try:
            self._database.open()
            self._look()
        except NotReady:
            self._database.close()
            raise
        self._thread.start()

    def ask(self, do: Callable[[Book], T]) -> Future[T]:
        answer: Future[T] = Future()
        self._put(_Work(do, answer))
        return answer

    def tell(self, do: Callable[[Book], None]) -> None:
        self._put(_Work(do, None))

    def close(self) -> None:
        """Blocks until everything is written."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._thread.join()
        self._database.close()

    def _put(self, work: _Work) -> None:
        with self._wake:
            if self._is_closing:
                if work.answer is not None:
                    raise NotReady("the accounts are closed already; start again")
                return  # a call that ends after its server: what it had reserved stands as spent
            self._queue.append(work)
            if work.answer is not None and not self._is_asked:
                self._is_asked = True
                self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._is_asked or self._is_closing, TICK_S)
                batch, self._queue, self._is_asked = self._queue, [], False
                is_closing = self._is_closing
            if batch or self.trouble:  # also nothing is worth writing when that may be the end of the trouble
                self._write(batch)
            if is_closing:
                return
            if not self.trouble and time.monotonic() - self.seen_s >= TICK_S / 2:
                self._try(self._look)

    def _write(self, batch: list[_Work]) -> None:
        batch = [work for work in batch if work.answer is None or work.answer.set_running_or_notify_cancel()]
        results: list[Any] = []

        def write() -> None:
            with self._database.writing() as connection:
                book = Book(connection, self._clock)
                results.extend(_result(work, book) for work in batch)
                book.write()

        fault = self._try(write)
        if fault:
            results = [NotReady(fault) for _ in batch]
            with self._wake:
                self._queue[:0] = [work for work in batch if work.answer is None]
        elif batch:
            self._try(self._look)  # before anybody hears that the accounts are others now
        for work, result in zip(batch, results, strict=True):
            if work.answer is None:
                continue
            if isinstance(result, EdgewiseError):
                work.answer.set_exception(result)
            else:
                work.answer.set_result(result)

    def _look(self) -> None:
        with self._database.reading() as connection:
            changes = connection.scalar(sql.select(FACTS.c.value).where(FACTS.c.name == "changes")) or 0
            if changes != self.known.changes:
                rows = connection.execute(sql.select(ACCOUNTS)).mappings().all()
                valid = {row["digest"]: account_of(row) for row in rows if row["revoked_at"] is None}
                by_name = {account.name: account for account in valid.values()}
                self.known = Known(changes, valid, by_name, is_empty=not rows)
        self.seen_s = time.monotonic()

    def _try(self, work: Callable[[], None]) -> str:
        """Why it could not be done; empty when it was."""
        try:
            work()
        except NotReady as fault:
            return self._closed_by(fault.message)
        except Exception as error:  # the thread's boundary: whatever it is, nobody may be let in
            log.exception("the accounts failed")
            return self._closed_by(f"the accounts failed ({error}), so nobody is let in; the log says more")
        if self.trouble:
            log.warning("the accounts can be used again")
        self.trouble = ""
        return ""

    def _closed_by(self, fault: str) -> str:
        if not self.trouble:
            log.error(fault)
        self.trouble = fault
        return fault


def _result(work: _Work, book: Book) -> Any:
    try:
        return work.do(book)
    except EdgewiseError as refusal:
        return refusal
