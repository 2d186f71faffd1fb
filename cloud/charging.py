"""The gate as the holder of one key has it: within its pace, its quota and its budget."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from cloud.backends.failure import may_be_billed
from cloud.backends.usage import Seen
from cloud.terms import Gate
from edgewise.errors import EdgewiseError
from edgewise.types import Chunk, Completion, Findings, Options, Prompt, Query, Released, SideStatus

if TYPE_CHECKING:  # brings SQLAlchemy along, which a gateway on a Unix socket does without
    from edgewise.accounts.accounts import Accounts, Hold


class Charged:
    """A call is counted, the most that it may cost is kept, and what it did cost is spent when it ends.

    Where the end does not tell (the caller left, the answer broke off, no usage came), all that was kept is spent: a
    budget may stop a caller too early, and never too late. A call that was refused, or that reached nobody, is free.
    """

    def __init__(self, gate: Gate, accounts: Accounts, name: str) -> None:
        self._gate = gate
        self._accounts = accounts
        self._name = name

    async def generate(self, prompt: Released[Prompt], options: Options) -> AsyncGenerator[Chunk | Completion]:
        await self._accounts.admit(self._name)
        worst_usd = most_usd(await self._gate.status(), prompt.value, options)
        hold = await self._reserve(worst_usd)
        has_begun = False
        try:
            async with aclosing(self._gate.generate(prompt, options)) as events:
                async for event in events:
                    has_begun = True
                    if isinstance(event, Completion):  # before the caller hears of the end, and asks again
                        self._settle(hold, event)
                    yield event
        except EdgewiseError as error:
            self._accounts.settle(hold, None if has_begun or may_be_billed(error) else 0.0)
            raise
        finally:
            self._accounts.settle(hold, None)

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        await self._accounts.admit(self._name)
        status = await self._gate.status()
        hold = await self._reserve(status.usd_per_fetch)
        try:
            findings = await self._gate.retrieve(query, timeout_s)
            self._accounts.settle(hold, 0.0 if is_paid(findings) else findings.cost_usd)
            return findings
        except EdgewiseError as error:
            self._accounts.settle(hold, None if may_be_billed(error) else 0.0)
            raise
        finally:
            self._accounts.settle(hold, None)

    async def status(self) -> SideStatus:
        return await self._gate.status()

    async def forget_answers(self) -> int:
        return await self._gate.forget_answers()

    async def _reserve(self, worst_usd: float | None) -> Hold:
        """For every upstream that may bill this call."""
        all_usd = None if worst_usd is None else worst_usd * self._gate.most_bills
        return await self._accounts.reserve(self._name, all_usd)

    def _settle(self, hold: Hold, end: Completion) -> None:
        if is_paid(end):
            self._accounts.settle(hold, 0.0)
        else:
            self._accounts.settle(hold, end.cost_usd, end.tokens.prompt_tokens + end.tokens.completion_tokens)


def most_usd(status: SideStatus, prompt: Prompt, options: Options) -> float | None:
    """The most that a believable bill can be, None without a price; only what a model reasons unseen may be beyond it.

    `SideStatus.most_usd` is for plans: a prompt of rare characters has more tokens than that foresees.
    """
    if status.usd_per_mtok_prompt is None or status.usd_per_mtok_completion is None:
        return None
    seen = Seen.of(prompt, options, characters=0, pieces=0)
    prompt_usd = seen.most_prompt_tokens * status.usd_per_mtok_prompt
    return (prompt_usd + seen.most_shown_tokens * status.usd_per_mtok_completion) / 1e6


def is_paid(end: Completion | Findings) -> bool:
    """Whether it was paid for when it was given first."""
    return end.via in {"cache", "repeated"}
