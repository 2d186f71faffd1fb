"""A dry run: what would happen to a question, and why. Nothing is generated, and nothing of it leaves the device."""

from __future__ import annotations

import statistics
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from edgewise.errors import CloudUnavailable
from edgewise.types import (
    Author,
    Chunk,
    Completion,
    Explanation,
    Findings,
    Options,
    Prompt,
    Query,
    Question,
    SideStatus,
)
from router import prompts
from router.desk import Desk, question_text
from router.log import Log
from router.modes import MODES, parse
from router.privacy import Policy

_BEFORE = 200


class Unasked:
    """A cloud that is not asked: its status is known, whatever else is wanted of it fails."""

    def __init__(self, status: SideStatus) -> None:
        self._status = status

    async def generate(self, _: Prompt, __: Options) -> AsyncGenerator[Chunk | Completion]:
        for chunk in _nothing():
            yield chunk

    async def retrieve(self, _: Query) -> Findings:
        _nothing()
        return Findings()

    async def status(self) -> SideStatus:
        return self._status


def _nothing() -> tuple[Chunk, ...]:
    raise CloudUnavailable("a dry run asks the cloud for nothing")


@dataclass(frozen=True, slots=True)
class _Before:
    """What the last answers of the same mode and author cost and took."""

    count: int
    usd: float | None
    seconds: float | None


async def explained(
    question: Question, desk: Desk, policy: Policy, log: Log, cloud: SideStatus, *, app: str = ""
) -> Explanation:
    """`desk` has a cloud that is `Unasked`, of the status `cloud`; the answers before are those of `app`."""
    mode, _ = parse(question.mode)
    foreseen = await MODES[mode].foresee(question, desk)
    before = await _before(log, question.mode, foreseen.author, app)
    held = policy.held_because(question_text(question))
    if not cloud.ready:
        held = held or f"there is no cloud to send it to: {cloud.reason or 'it is not ready'}"
    return Explanation(
        mode=question.mode,
        author=foreseen.author,
        decision=foreseen.decision,
        score=foreseen.score,
        threshold=foreseen.threshold,
        familiar=foreseen.familiar,
        contributions=foreseen.contributions,
        most_usd=cloud.most_usd(prompts.closed_book(question), desk.cloud.max_tokens) if cloud.ready else None,
        expected_usd=before.usd,
        expected_s=before.seconds,
        answers_before=before.count,
        cost_basis=cloud.cost_basis,
        leaves=held is None and foreseen.asks_cloud,
        leaves_reason=held or ("" if foreseen.asks_cloud else "nobody asks the cloud"),
        policy_version=desk.arbiter.version,
    )


async def _before(log: Log, mode: str, author: Author | None, app: str) -> _Before:
    records = [
        one for one in await log.newest(limit=_BEFORE, mode=mode, app=app)
        if not one.error and author in {None, one.author}
    ]  # fmt: skip
    costs = [one.cost_usd for one in records if one.cost_usd is not None]
    return _Before(
        len(records),
        statistics.fmean(costs) if costs and len(costs) == len(records) else None,
        statistics.median(one.total_s for one in records) if records else None,
    )
