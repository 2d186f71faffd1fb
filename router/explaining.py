"""A dry run: what would happen to a question, and why. Nothing is generated, and nothing of it leaves the device."""

from __future__ import annotations

import statistics
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass

from edgewise.errors import CloudUnavailable
from edgewise.types import (
    Author,
    Chunk,
    Completion,
    Explanation,
    Findings,
    Options,
    Outgoing,
    Prompt,
    Query,
    Question,
    SideStatus,
    Text,
)
from router import prompts
from router.desk import Desk, Sent, question_text
from router.egress import Boundary
from router.log import Log
from router.modes import MODES, parse
from router.rewriting import looked_up

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


@dataclass(frozen=True, slots=True)
class Own:
    """What this device has beside the two sides. `private_because` and `rewrites` are of the question and settings,
    `app` is whose answers before count; everybody's if it is empty.

    It `rewrites` where the cloud makes queries of the question.
    """

    boundary: Boundary
    log: Log
    app: str
    private_because: str
    rewrites: bool


async def explained(question: Question, desk: Desk, own: Own, cloud: SideStatus) -> Explanation:
    """`desk` has a cloud that is `Unasked`, of the status `cloud`."""
    mode, _ = parse(question.mode)
    foreseen = await MODES[mode].foresee(question, desk)
    before = await _before(own, question.mode, foreseen.author)
    sends = ("prompt", *foreseen.sends) if own.rewrites and "query" in foreseen.sends else foreseen.sends
    outgoing = [one for kind, texts in _TEXTS.items() if kind in sends for one in await _held(texts(question), own)]
    held = next((one.held_because for one in outgoing if one.held_because), "")
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
        leaves=not held and bool(sends),
        leaves_reason=held or ("" if sends else "nobody asks the cloud"),
        policy_version=desk.arbiter.version,
        destination=own.boundary.cloud or "",
        outgoing=tuple(outgoing),
    )


def _prompt(question: Question) -> list[tuple[str, Text]]:
    turns = [turn.text for turn in question.history]
    told = [(f"{len(turns)} earlier turns of the conversation", Text.join(turns, "\n"))] if turns else []
    return [("the question", question_text(question)), *told]


def _query(question: Question) -> list[tuple[str, Text]]:
    text = looked_up(question)
    more = ", with the turn before it" if text.value != question.text else ""
    return [(f"what is looked up: the question{more}", text)]


def _answers(question: Question) -> list[tuple[str, Text]]:
    return [("both answers, if they disagree (router.judge)", question_text(question).derive(""))]


_TEXTS: dict[Sent, Callable[[Question], list[tuple[str, Text]]]] = {
    "prompt": _prompt,
    "query": _query,
    "passages": lambda _: [("passages of this device that are labelled public", Text.ours(""))],
    "answers": _answers,
}


async def _held(texts: Iterable[tuple[str, Text]], own: Own) -> list[Outgoing]:
    found = []
    for what, text in texts:
        held = await own.boundary.policy.held([text])
        why = (own.private_because or held) if held else ""
        found.append(Outgoing(what=what, label=text.label, held_because=why))
    return found


async def _before(own: Own, mode: str, author: Author | None) -> _Before:
    records = [
        one for one in await own.log.newest(limit=_BEFORE, mode=mode, app=own.app)
        if not one.error and author in {None, one.author}
    ]  # fmt: skip
    costs = [one.cost_usd for one in records if one.cost_usd is not None]
    return _Before(
        len(records),
        statistics.fmean(costs) if costs and len(costs) == len(records) else None,
        statistics.median(one.total_s for one in records) if records else None,
    )
