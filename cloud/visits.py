"""A call from its caller's side: who it is, on which terms, what it pays, and what is told of it afterwards."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Protocol

from cloud.charging import Charged, is_paid
from cloud.metrics import OWNER, Metrics
from cloud.terms import Gate, Terms
from edgewise.callers import Callers
from edgewise.errors import Cancelled, EdgewiseError, Internal
from edgewise.ports import Cloud
from edgewise.rpc import Context, caller_of
from edgewise.types import Chunk, Completion, Findings, Options, Prompt, Query, Released, SideStatus

if TYPE_CHECKING:
    from edgewise.accounts.accounts import Accounts

log = logging.getLogger(__name__)


class Visited(Cloud, Protocol):
    """The gate as a caller has it."""

    async def forget_answers(self) -> int: ...


class Visits:
    """The gate for each call: under the caller's terms, charged to their key, counted and logged."""

    def __init__(self, gate: Gate, callers: Callers, accounts: Accounts | None, metrics: Metrics) -> None:
        self._gate = gate
        self._callers = callers
        self._accounts = accounts
        self._metrics = metrics

    def of(self, context: Context, idempotency_key: str) -> Visited:
        """Unauthenticated for a key that was revoked since it was let in."""
        name = caller_of(context, self._callers).name
        if not name or self._accounts is None:
            return Told(self._gate.under(Terms(idempotency_key=idempotency_key)), "", self._metrics)
        gate = self._gate.under(Terms(name, self._accounts.account(name).allowed, idempotency_key))
        return Told(Charged(gate, self._accounts, name), name, self._metrics)


class Told:
    """Counts a call and writes one line about it, without a word of what was asked or answered."""

    def __init__(self, cloud: Visited, key: str, metrics: Metrics) -> None:
        self._cloud = cloud
        self._key = key
        self._metrics = metrics

    async def generate(self, prompt: Released[Prompt], options: Options) -> AsyncGenerator[Chunk | Completion]:
        with self._told("generate") as said:
            async with aclosing(self._cloud.generate(prompt, options)) as events:
                async for event in events:
                    if isinstance(event, Completion):
                        if not is_paid(event):
                            self._metrics.used(self._key, event.tokens)
                            self._metrics.paid(self._key, event.cost_usd, event.cost_basis)
                        said.update(
                            model=event.model,
                            via=event.via or "upstream",
                            prompt_tokens=event.tokens.prompt_tokens,
                            completion_tokens=event.tokens.completion_tokens,
                            cost_usd=event.cost_usd,
                        )
                    yield event

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        with self._told("retrieve") as said:
            findings = await self._cloud.retrieve(query, timeout_s)
            if not is_paid(findings):
                self._metrics.paid(self._key, findings.cost_usd, findings.cost_basis)
            said.update(passages=len(findings.passages), cost_usd=findings.cost_usd)
            return findings

    async def status(self) -> SideStatus:
        return await self._cloud.status()

    async def forget_answers(self) -> int:
        return await self._cloud.forget_answers()

    @contextmanager
    def _told(self, kind: str) -> Generator[dict[str, object]]:
        began, said, error = time.monotonic(), dict[str, object](), None
        try:
            yield said
        except EdgewiseError as failure:
            error = failure
            raise
        except Exception as fault:
            error = Internal(type(fault).__name__)
            raise
        except BaseException:
            if not said:  # who has heard the end may go
                error = Cancelled("the caller went away")
            raise
        finally:
            seconds = time.monotonic() - began
            self._metrics.ended(self._key, kind, error, seconds)
            details = "".join(f" {name}={value}" for name, value in said.items())
            outcome = error.reason if error else "ok"
            log.info("%s key=%s outcome=%s seconds=%.3f%s", kind, self._key or OWNER, outcome, seconds, details)
