"""What can be looked up for a question: on the device, and in the cloud, whose information the device then keeps.

Only the query goes up, never a passage of this device.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgewise.types import Expand, Findings, Passage, Privacy, Query, Question, Text
from router.config import RouterSettings
from router.desk import CLOUD_CANNOT, Desk, step
from router.rewriting import searches


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found, and why some of what the cloud knows is missing, if it is; `asked` is whether it answered."""

    findings: Findings
    without: str = ""
    asked: bool = True


async def from_here(question: Question, desk: Desk, expand: Expand | None = None) -> Findings:
    """From the documents of this device, and from what the cloud informed of before.

    Passages are expanded as the settings say, if not otherwise.
    """
    return await _here(question, await searches(question, desk), desk, expand)


async def from_both(question: Question, desk: Desk) -> Gathered:
    """From this device, and from the cloud unless it has informed of this before."""
    wanted = await searches(question, desk)
    here = await _here(question, wanted, desk)
    known = [one for one in relevant(here, desk.settings) if one.origin == "cloud" and not one.stale]
    if known:
        await desk.step(step("cloud info", f"{len(known)} passages, known from before", "edge", {"known": 1.0}))
        return Gathered(here)
    there = await _there(wanted, desk)
    if not there.asked:
        return Gathered(here, there.without + _expired(here, desk.settings))
    fresh = here.model_copy(update={"passages": tuple(one for one in here.passages if not one.stale)})
    return Gathered(merged(fresh, there.findings), there.without)


async def from_cloud(question: Question, desk: Desk) -> Gathered:
    """The cloud's information, which the device keeps where it is relevant; or none, and the reason."""
    return await _there(await searches(question, desk), desk)


async def _here(question: Question, wanted: Sequence[Text], desk: Desk, expand: Expand | None = None) -> Findings:
    collections = (*question.collections, desk.info) if question.collections else ()
    more = {"collections": collections} | ({} if expand is None else {"expand": expand})
    queries = [_query(text, desk).model_copy(update=more) for text in wanted]
    return merged(*[await desk.edge.retrieve(query) for query in queries])


async def _there(wanted: Sequence[Text], desk: Desk) -> Gathered:
    """The gateway's corpora know nothing of the device's collections, not even their names."""
    try:
        findings = merged(*[await desk.cloud.retrieve(_query(text, desk)) for text in wanted])
    except CLOUD_CANNOT as error:
        await desk.step(step("cloud info", error.message))
        return Gathered(Findings(), f"without cloud information: {error.message}", asked=False)
    told = "; ".join(filter(None, (f"{len(findings.passages)} passages", findings.reason)))
    await desk.step(step("cloud info", told, "cloud", {"known": 0.0}))
    if useful := relevant(findings, desk.settings):
        label = Privacy.tightest(text.label for text in wanted)
        desk.keep(tuple(_as_private_as(label, passage) for passage in useful))
    return Gathered(findings, findings.reason and f"without part of the cloud's information: {findings.reason}")


def _as_private_as(label: Privacy, passage: Passage) -> Passage:
    """What was found for a query may repeat it, as the facts of a model do: it is kept with the label of both."""
    text = passage.text.model_copy(update={"label": Privacy.tightest((label, passage.text.label))})
    return passage.model_copy(update={"text": text})


def _query(text: Text, desk: Desk) -> Query:
    return Query(text=text, k=desk.settings.passages, expand=desk.settings.expand)


def merged(*several: Findings) -> Findings:
    """Best first; of passages with the same text the better-placed one stays."""
    return Findings(
        passages=distinct(passage for findings in several for passage in findings.passages),
        answerable=max((one.answerable for one in several if one.answerable is not None), default=None),
        reason="; ".join(dict.fromkeys(one.reason for one in several if one.reason)),
    )


def distinct(passages: Iterable[Passage]) -> tuple[Passage, ...]:
    kept: dict[str, Passage] = {}
    for passage in sorted(passages, key=lambda passage: passage.score, reverse=True):
        kept.setdefault(passage.text.value, passage)
    return tuple(kept.values())


def relevant(findings: Findings, settings: RouterSettings) -> tuple[Passage, ...]:
    """The passages to answer from; none, when the answer is probably in none of them."""
    if is_answerable(findings, settings):
        return tuple(passage for passage in findings.passages if passage.score >= settings.relevance)
    return ()


def is_answerable(findings: Findings, settings: RouterSettings) -> bool:
    """A side that has no opinion is judged by its best passage."""
    best = max((passage.score for passage in findings.passages), default=0.0)
    return (best if findings.answerable is None else findings.answerable) >= settings.answerable


def _expired(findings: Findings, settings: RouterSettings) -> str:
    old = [passage.expires_at for passage in relevant(findings, settings) if passage.stale]
    return f"; some of what is known from before has expired ({min(old)})" if old else ""
