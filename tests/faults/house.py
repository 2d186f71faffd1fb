"""A whole daemon with its two children and an upstream, and the same six invariants seen from outside."""

from __future__ import annotations

import asyncio
import os
import resource
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgewise.errors import EdgewiseError
from edgewise.types import Event, Privacy, Question, Record, Sampling, Token
from router.egress import read_rows
from tests.faults.invariants import NOT_LET_IN, Heard, check_answer, check_end
from tests.faults.stand import USD_PER_MTOK, Misbehaving
from tests.stack import Daemon, child, children, up, wait_until
from tests.upstream import KEY, PROMPT_TOKENS, WORDS

ONE_ANSWER_USD = (PROMPT_TOKENS + len(WORDS)) * USD_PER_MTOK / 1e6
SETTINGS = {
    "EDGEWISE_ROUTER__TRUST_THRESHOLD": "1",
    "EDGEWISE_ROUTER__GAIN_THRESHOLD": "-1",
    "EDGEWISE_ROUTER__UNFAMILIAR_GAIN_THRESHOLD": "-1",
    "EDGEWISE_CLOUD__BACKEND": "openai_compatible",
    "EDGEWISE_CLOUD__MODEL": "any",
    "EDGEWISE_CLOUD__API_KEY": KEY,
    "EDGEWISE_CLOUD__RETRY_BUDGET_S": "0",
    "EDGEWISE_CLOUD__TIMEOUT_S": "30",
    "EDGEWISE_CLOUD__USD_PER_MTOK_PROMPT": str(USD_PER_MTOK),
    "EDGEWISE_CLOUD__USD_PER_MTOK_COMPLETION": str(USD_PER_MTOK),
}
SHORT = Sampling(max_tokens=12)
_MORE_FILES = 6
"""Descriptors that a daemon opens when something happens first: pools of connections, the audit log."""


@dataclass
class House:
    daemon: Daemon
    upstream: Misbehaving
    secrets: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    @property
    def edge_pid(self) -> int:
        return self.daemon.edge_pid

    @property
    def cloud_pid(self) -> int:
        return child(self.daemon.process.pid, "cloud")

    def public(self, mode: str = "cloud_only", **more: object) -> Question:
        text = f"Who wrote Hamlet, and what is {uuid.uuid4().hex[:6]}?"
        given = {"text": text, "mode": mode, "privacy": Privacy.PUBLIC, "sampling": SHORT, **more}
        return Question.model_validate(given)

    def private(self, mode: str = "cloud_only", *, about: str = "Who is", **more: object) -> Question:
        self.secrets.append(f"zq{uuid.uuid4().hex}")
        return self.public(mode, text=f"{about} {self.secrets[-1]}?", privacy=Privacy.PRIVATE, **more)

    def ask(self, question: Question) -> Heard:
        return asyncio.run(self.asks(question))

    async def asks(self, question: Question, on_token: asyncio.Event | None = None) -> Heard:
        """One question to its end, and all that can be checked of it. `on_token` is set by its first token."""
        events: list[Event] = []
        error: EdgewiseError | None = None
        async with asyncio.timeout(60), self.daemon.client() as client:
            try:
                async for event in client.ask(question):
                    events.append(event)
                    if on_token is not None and isinstance(event, Token):
                        on_token.set()
            except EdgewiseError as failure:
                error = failure
            heard = Heard(tuple(events), error, None if _is_of_the_disk(error) else await self._record(question, error))
        check_end(heard)
        check_answer(heard, question)
        self._check_cost(heard)
        self._check_audit(heard)
        self.check_sinks()
        return heard

    async def _record(self, question: Question, error: EdgewiseError | None) -> Record | None:
        """The one of this question."""
        if error is not None and error.code in NOT_LET_IN:
            return None
        async with self.daemon.client() as client:
            while True:
                found = [one for one in await client.records(limit=20) if one.question == question.text]
                if found:
                    [record] = found
                    return record
                await asyncio.sleep(0.02)

    def _check_cost(self, heard: Heard) -> None:
        if heard.record is None:
            return
        if heard.done is not None:
            assert heard.done.cost_usd == heard.record.cost_usd
        if heard.record.cost_usd:
            assert heard.record.cost_usd == pytest.approx(ONE_ANSWER_USD)

    def _check_audit(self, heard: Heard) -> None:
        if heard.record is None:
            return
        rows = [row for row in read_rows(self.daemon.data_dir) if row.record_id == heard.record.record_id]
        assert sum(row.event == "try" for row in rows) == heard.record.cloud_calls

    def check_sinks(self) -> None:
        told = repr(self.upstream.requests)
        assert [secret for secret in self.secrets if secret in told] == []

    def is_well(self) -> None:
        """It answers on both sides, and has what it had: two children, no more threads, no more descriptors."""
        self.upstream.behaves = "ok"
        for author in ("edge", "cloud"):  # a child that was killed may not have been missed yet
            wait_until(lambda author=author: self._answers_from(author), f"the {author} answered again", 40)  # type: ignore[misc]
        heard = self.ask(self.private("post_arbitration"))
        assert heard.done is not None
        assert heard.done.author == "edge"
        assert len(children(self.daemon.process.pid)) == 2

    def _answers_from(self, author: str) -> bool:
        heard = self.ask(self.public("cloud_only" if author == "cloud" else "edge_only"))
        return heard.done is not None and heard.done.author == author

    def taken(self) -> tuple[int, int]:
        """Threads and descriptors of the daemon."""
        place = Path(f"/proc/{self.daemon.process.pid}")
        return len(list((place / "task").iterdir())), len(list((place / "fd").iterdir()))

    @contextmanager
    def full_disk(self, pid: int) -> Iterator[None]:
        """No file of a process grows any more: what a full disk is to a program."""
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def _is_of_the_disk(error: EdgewiseError | None) -> bool:
    """Where the disk is full there is no record, and the caller is told so."""
    return error is not None and "nor can it wait on disk" in error.message


@contextmanager
def house(data_dir: Path, upstream: Misbehaving, more: Mapping[str, str] = {}) -> Iterator[House]:
    with up(data_dir, settings={**SETTINGS, "EDGEWISE_CLOUD__BASE_URL": upstream.url, **more}) as daemon:
        yield House(daemon, upstream)


def signalled(pid: int, sign: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, sign)
