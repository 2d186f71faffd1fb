"""The six things that hold whatever breaks. `Books` asks, and checks them; a test only says what it wants to break.

1. no private word at any sink            4. one end a request, and one record
2. one audit row a try, written before    5. processes, threads and descriptors as before
3. the cost logged is the cost served     6. an answer says who gave it, in which mode, and on what it stands
"""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from edgewise.errors import EdgewiseError
from edgewise.types import Done, Event, Passage, Privacy, Question, Record, Text, Token, Turn
from router.egress import Row, read_rows
from tests.faults.stand import Stand
from tests.routers import ASKED, FERRY
from tests.stack import children, wait_until
from tests.upstream import KEY

NOT_LET_IN = {"RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "ALREADY_EXISTS"}
"""Ends of requests that were refused at the door, of which there is no record."""


@dataclass(frozen=True, slots=True)
class Heard:
    """All that came of a request: its events, and the error it ended with, if it did."""

    events: tuple[Event, ...]
    error: EdgewiseError | None = None
    record: Record | None = None

    @property
    def done(self) -> Done | None:
        ends = [event for event in self.events if isinstance(event, Done)]
        assert len(ends) <= 1, "an answer was done more than once"
        assert not ends or self.events[-1] is ends[0], "something came after the end"
        return ends[0] if ends else None

    @property
    def tokens(self) -> int:
        return sum(isinstance(event, Token) for event in self.events)


@dataclass
class Books:
    """Of one fault."""

    stand: Stand
    secrets: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    asked: int = 0

    async def ask(self, question: Question) -> Heard:
        """One question, by itself; all that can be checked of it has been when this returns."""
        served = len(self.stand.book.served)
        events: list[Event] = []
        error: EdgewiseError | None = None
        async with asyncio.timeout(20):
            try:
                async for event in self.stand.client.ask(question):
                    events.append(event)  # noqa: PERF401 - what came before it fails counts
            except EdgewiseError as failure:
                error = failure
            record = await self.new_record(error)
        heard = Heard(tuple(events), error, record)
        check_end(heard)
        check_answer(heard, question)
        await self.check_cost(heard, served)
        await self.check_audit(heard, question)
        assert record is None or KEY not in record.model_dump_json(), "a record has the provider's key"
        return heard

    def public(self, mode: str) -> Question:
        """A question that was not asked before, so that it can be told from others on the wire."""
        self.asked += 1
        return Question(text=f"{ASKED[:-1]} on day {self.asked}?", mode=mode, privacy=Privacy.PUBLIC)

    async def ask_privately(self, mode: str) -> None:
        """The same mode, with a secret in every place where one can be; what comes of it is an end like any other."""
        for question in self._private_questions(mode):
            heard = await self.ask(question)
            assert heard.done is None or heard.done.author == "edge"

    def _private_questions(self, mode: str) -> Iterator[Question]:
        yield Question(text=f"When does {self._secret()} sail?", mode=mode, privacy=Privacy.PRIVATE)
        yield Question(text=f"Write to {self._secret()}@example.com when the ferry sails.", mode=mode)
        turns = (Turn(role="user", text=Text(value=f"I am {self._secret()}.", label=Privacy.PRIVATE)),)
        yield self.public(mode).model_copy(update={"history": turns})

    def private_passage(self) -> Passage:
        """For the edge to find, whatever is asked."""
        text = FERRY.text.model_copy(update={"value": f"{self._secret()} sails at ten.", "label": Privacy.PRIVATE})
        return FERRY.model_copy(update={"id": "private", "text": text, "score": 0.95})

    def _secret(self) -> str:
        self.secrets.append(f"zq{uuid.uuid4().hex}")
        return self.secrets[-1]

    async def new_record(self, error: EdgewiseError | None = None) -> Record | None:
        """The one record that is there now and was not before; None, and none there, for who was not let in."""
        if error is not None and error.code in NOT_LET_IN:
            return None
        while not (new := await self.unknown_records()):  # noqa: ASYNC110 - it may come a little after the error
            await asyncio.sleep(0.005)
        [record] = new
        return record

    async def unknown_records(self) -> Sequence[Record]:
        found = await self.stand.log.newest(limit=1000)
        new = [record for record in found if record.record_id not in self.known]
        self.known |= {record.record_id for record in new}
        return new

    async def check_cost(self, heard: Heard, served_before: int) -> None:
        """What was not served to its end has no known cost; nobody may claim one."""
        if heard.record is None:
            return
        if heard.done is not None:
            assert heard.done.cost_usd == heard.record.cost_usd
        served = self.stand.book.served[served_before:]
        if heard.record.cost_usd is not None:
            assert None not in served, "a cost was logged of a call whose cost nobody knows"
            assert heard.record.cost_usd == pytest.approx(sum(cost for cost in served if cost is not None))

    async def check_audit(self, heard: Heard, question: Question) -> None:
        """As many rows as calls were made, and each of them there before a byte of its call."""
        assert self.stand.book.unnoted == 0, "a call arrived that was not yet written down"
        if heard.record is None:
            return
        calls = await self.stand.log.calls(heard.record.record_id)
        tries = [row for row in self._tries() if row.record_id == heard.record.record_id]
        assert len(tries) == sum(call.side == "cloud" for call in calls)
        seen = self.stand.near.first_seen(question.text.encode())
        if seen is not None and not self.stand.watch.ahead:
            assert datetime.fromisoformat(tries[0].at).timestamp() <= seen

    def _tries(self) -> list[Row]:
        rows = read_rows(self.stand.directory)
        return [row for row in rows if row.event == "try" and row.destination == "cloud"]

    def check_sinks(self) -> None:
        """Bytes on both wires, whether or not they arrived, what the upstream understood, what the collector got."""
        stand = self.stand
        places = {
            "gateway": stand.near.sent(),
            "wire to the upstream": stand.far.sent(),
            "upstream": repr(stand.sinks.upstream.requests).encode(),
            "collector": stand.sinks.collector.everything,
        }
        leaks = [
            (secret, place) for secret in self.secrets for place, bytes_ in places.items() if secret.encode() in bytes_
        ]
        assert leaks == []


def check_end(heard: Heard) -> None:
    assert (heard.done is None) is (heard.error is not None), "an answer that is done and failed, or neither"
    if heard.record is None:
        return
    if heard.error is not None:
        assert heard.record.error == heard.error.code
    if heard.done is not None:
        assert heard.record.error == ""
        assert heard.done.record_id == heard.record.record_id


def check_answer(heard: Heard, question: Question) -> None:
    done, record = heard.done, heard.record
    if done is None:
        assert heard.error is not None
        assert heard.error.message
        return
    assert record is not None
    assert done.author in {"edge", "cloud"}
    assert done.mode
    assert done.mode == question.mode or question.mode in {"", "auto"}
    assert done.grounding
    assert not done.degraded or done.reason
    said = (done.author, done.mode, done.grounding, done.degraded, done.reason)
    assert said == (record.author, record.mode, record.grounding, record.degraded, record.reason)


_FILES = Path("/proc/self/fd")
_COME_AND_GO = 2
"""Descriptors that the upstream's and the collector's threads have open now and then. `conftest.py` compares once more
over all faults of a file, where a leak would have added up."""


def _counts(descriptor: Path) -> bool:
    """What event loops, gRPC's among them, wake themselves with is made when it is first needed, and kept."""
    with suppress(OSError):  # the one that lists them
        return not str(descriptor.readlink()).startswith("anon_inode:")
    return False


def _threads() -> list[threading.Thread]:
    """gRPC polls on one of its own as long as anything of it has not been collected, and then begins another."""
    return [thread for thread in threading.enumerate() if "_poll_wrapper" not in thread.name]


@dataclass(frozen=True, slots=True)
class Taken:
    """What this process has of the machine. Linux only."""

    processes: frozenset[int]
    threads: int
    files: int

    @staticmethod
    def now() -> Taken:
        return Taken(frozenset(children(os.getpid())), len(_threads()), sum(map(_counts, _FILES.iterdir())))

    def comes_back(self) -> None:
        """Threads and descriptors are given back a little after what had them was closed."""
        wait_until(lambda: self._covers(Taken.now()), f"{Taken.now()} came back to {self}", 10)

    def _covers(self, now: Taken) -> bool:
        files = self.files + _COME_AND_GO
        return now.processes <= self.processes and now.threads <= self.threads and now.files <= files
