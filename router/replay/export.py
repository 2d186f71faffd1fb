"""The log as a trace: what a device has answered, so that it can be replayed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edgewise.types import Author, Privacy, Record, SideStatus, Text
from router.compare.questions import Graded, Said
from router.compare.runner import Pair, row_of
from router.egress import Policy
from router.log import Log, mean_grade
from router.meter import SideCall
from router.trace import Answered, Asked, Called, Head, Line

_PAGE = 500
_LABEL = f'"label":"{Privacy.PRIVATE}"'
"""How a private text looks in the JSON of a call. Words cannot look like this: their quotation marks are escaped."""


@dataclass
class Export:
    """Records of a log as lines of a trace, oldest first; `left_out` counts those with private words, or with none.

    A trace goes to other people, so that what the policy keeps on the device is private in it: in the question, the
    answer, an earlier turn or a passage that was looked at. A grade of an answer is its score. Earlier turns of a
    conversation are part of a question. What a caller sent along (sampling, a schema, collections, a history of its
    own) is in no record: such calls are there, but nothing that is replayed will ask for them.
    """

    log: Log
    policy: Policy
    with_private: bool = False
    app: str = ""
    left_out: int = 0
    _said: dict[tuple[str, str], list[Said]] = field(default_factory=dict)
    _private: set[tuple[str, str]] = field(default_factory=set)

    async def lines(self, head: Head, since: str = "", mode: str = "") -> AsyncGenerator[Line]:
        """The head names the models of the newest calls where it does not name any."""
        found = await self._wanted(since)
        yield await self._named(head, found)
        asked: set[str] = set()
        for record_id in reversed(found):
            record = await self.log.get(record_id)
            if not record.question.strip():
                self.left_out += 1
                continue
            question = self._question(record)
            if mode not in {"", _mode_of(record)}:
                continue
            calls = await self.log.calls(record_id)
            if not self.with_private and (question.private or await self._is_held(record, calls)):
                self.left_out += 1
                continue
            if question.id not in asked:
                asked.add(question.id)
                yield Asked(question=question)
            for call in calls:
                yield Called(question=question.id, mode=_mode_of(record), call=call)
            yield _answered(question, record)

    async def _is_held(self, record: Record, calls: Sequence[SideCall]) -> bool:
        """The calls show what the record need not: a passage whose answer was not kept, or never written."""
        if _has_private_words(record, calls):
            return True
        asked = [call.request for call in calls if call.kind != "embed"]
        said = [call.response for call in calls if call.kind in {"generate", "retrieve"}]
        texts = (record.question, record.answer, *asked, *said)
        return await self.policy.held(Text(value=text, label=record.privacy) for text in texts) is not None

    async def _wanted(self, since: str) -> list[str]:
        """The ids of the records, newest first: the records themselves are too many to hold."""
        found: list[str] = []
        before = ""
        while page := await self.log.newest(limit=_PAGE, before_record_id=before, since=since, app=self.app):
            found += [record.record_id for record in page]
            before = page[-1].record_id
        return found

    async def _named(self, head: Head, found: list[str]) -> Head:
        newest: dict[Author, SideCall] = {}
        for record_id in found[:_PAGE] if not head.edge.model_hash or head.cloud is None else ():
            for call in await self.log.calls(record_id):
                if call.kind == "generate" and call.model_hash:
                    newest.setdefault(call.side, call)
        edge, cloud = newest.get("edge"), newest.get("cloud")
        if edge and not head.edge.model_hash:
            known = {"model": edge.model, "model_hash": edge.model_hash}
            head = head.model_copy(update={"edge": head.edge.model_copy(update=known)})
        if cloud and head.cloud is None:
            status = SideStatus(ready=True, model=cloud.model, model_hash=cloud.model_hash)
            head = head.model_copy(update={"cloud": status})
        return head

    def _question(self, record: Record) -> Graded:
        """What was asked, with what was said before in its conversation; this answer is said there from now on."""
        earlier: list[Said] = []
        asked = Said(text=record.question)
        private = {Privacy.PRIVATE: True, Privacy.PUBLIC: False}.get(record.privacy)
        if record.conversation_id and not record.shadow_of:
            talk = (record.app, record.conversation_id)
            said = self._said.setdefault(talk, [])
            earlier = [*said]
            private = True if talk in self._private else private
            if not record.error and record.answer:
                said += [asked, Said(role="assistant", text=record.answer)]
                self._private |= {talk} if private else set()
        turns = (*earlier, asked)
        told = json.dumps([*(turn.model_dump() for turn in turns), private], ensure_ascii=False)
        name = hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]
        return Graded(id=name, turns=turns, answers=None, private=private)


def _has_private_words(record: Record, calls: Sequence[SideCall]) -> bool:
    said = (text for call in calls for text in (call.request, call.response))
    return record.privacy is Privacy.PRIVATE or any(_LABEL in text for text in said)


def _mode_of(record: Record) -> str:
    """What was to answer: the arm of an experiment, else what was asked for, be it `auto`."""
    return record.arm or record.mode_asked


def _answered(question: Graded, record: Record) -> Answered:
    """Only what somebody graded has a score, failures too: else each of these would count, and few of the others."""
    row = row_of(Pair(question, _mode_of(record)), record).model_copy(update={"score": mean_grade(record), "f1": None})
    return Answered(
        asked_at=datetime.fromisoformat(record.created_at).astimezone().isoformat(),
        calls=record.calls,
        row=row,
        propensity=record.propensity,
        experiment=record.experiment,
        arm=record.arm,
    )
