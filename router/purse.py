"""What an app's question is paid from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edgewise.accounts.accounts import Accounts, Hold
from edgewise.errors import OverBudget
from edgewise.types import Question, Sampling, SideStatus
from router import prompts

# An answer may take a judgement, look-ups and longer prompts beside its plain price.
_CALLS = 4

Status = Callable[[], Awaitable[SideStatus]]


class Purse:
    """An app's money for one question: kept on disk before the cloud is asked, settled by its record."""

    def __init__(self, accounts: Accounts, app: str) -> None:
        self._accounts = accounts
        self._app = app
        self._hold: Hold | None = None

    async def limited(self, question: Question, cloud: Status, max_tokens: int) -> Question:
        """The question with no more for the cloud than its app has left; nothing, where a price is unknown.

        What is kept is the worst case of an answer several times over, or once, if there is no more left.
        """
        if self._accounts.account(self._app).budget_usd is None:
            return question
        worst = _worst(question, await cloud(), max_tokens)
        asked = question.max_cost_usd
        for factor in (_CALLS, 1) if worst is not None else ():
            usd = factor * (worst or 0.0)
            try:
                self._hold = await self._accounts.reserve(self._app, usd if asked is None else min(usd, asked))
                break
            except OverBudget:
                continue
        limit = self._hold.usd if self._hold else 0.0
        return question.model_copy(update={"max_cost_usd": limit if asked is None else min(limit, asked)})

    def settle(self, usd: float) -> None:
        """What the answer has cost, or may have where that is not known."""
        if self._hold is not None:
            self._accounts.settle(self._hold, usd)
            self._hold = None


def _worst(question: Question, cloud: SideStatus, max_tokens: int) -> float | None:
    sampling = question.sampling or Sampling(max_tokens=max_tokens)
    answer = cloud.most_usd(prompts.closed_book(question), sampling.max_tokens) if cloud.ready else None
    return None if answer is None or cloud.usd_per_fetch is None else answer + cloud.usd_per_fetch
