"""The boundary of the device: who may let something out writes it down here first, or lets nothing out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Self

from edgewise.errors import EdgewiseError
from edgewise.types import Privacy, Text
from router.egress.audit import Audit, Ended, NoAudit
from router.egress.policy import Policy
from router.egress.rows import Leaving, Outcome


class Try:
    """Around one sending: its row is on the disk, and what came of it becomes a row when this ends."""

    def __init__(self, audit: Audit, number: int) -> None:
        self._audit = audit
        self._number = number

    @staticmethod
    def of_nothing() -> Try:
        """Where there is nobody to send anything to."""
        return Try(NoAudit(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, failure: BaseException | None, __: object) -> None:
        outcome, detail = _came_of(failure)
        self._audit.end(Ended(of=self._number, outcome=outcome, detail=detail))


class Boundary:
    """The policy in force and the audit log, without which nothing goes to the cloud, a collector or a database.

    `cloud` names who gets what is sent to the cloud: hosts, or what else describes it. None: there is no cloud.
    """

    def __init__(self, policy: Policy, audit: Audit, cloud: str | None) -> None:
        self.policy = policy
        self.cloud = cloud
        self._audit = audit

    @property
    def in_words(self) -> str:
        """Who gets what leaves for the cloud, and where that is written down."""
        return f"what leaves for {self.cloud or 'elsewhere'} is written down in {self._audit}"

    @staticmethod
    def of_recordings(policy: Policy) -> Boundary:
        """The policy alone: where both sides are recordings nothing leaves."""
        return Boundary(policy, NoAudit(), "a recording")

    async def noted(self, leaving: Leaving) -> Try:
        """Once the row of a try is on the disk; NotAudited if it cannot be. Send inside of what is returned."""
        number = self._audit.submit(leaving)
        try:
            return Try(self._audit, await asyncio.wrap_future(number))
        except asyncio.CancelledError:
            number.add_done_callback(self._not_sent)
            raise

    def noted_now(self, leaving: Leaving) -> Try:
        """The same for a thread, which it blocks."""
        return Try(self._audit, self._audit.submit(leaving).result())

    def of_texts(self, call: str, texts: Sequence[Text], record_id: str, host: str) -> Leaving:
        """The row of texts that the policy lets go to the cloud."""
        label = Privacy.tightest(text.label for text in texts)
        return Leaving(
            destination="cloud",
            host=host,
            call=call,
            record_id=record_id,
            label=label,
            released=self.policy.releases(label),
            policy=self.policy.version,
            texts=len(texts),
            size=sum(len(text.value.encode("utf-8", "replace")) for text in texts),
        )

    def _not_sent(self, number: Future[int]) -> None:
        """Its caller left while the row was being written."""
        if not number.cancelled() and number.exception() is None:
            with suppress(RuntimeError):
                self._audit.end(Ended(of=number.result(), outcome="not sent"))


def _came_of(failure: BaseException | None) -> tuple[Outcome, str]:
    """Names of errors only: their messages may have words of a question in them."""
    match failure:
        case None:
            return "answered", ""
        case asyncio.CancelledError() | GeneratorExit():
            return "cancelled", ""
        case EdgewiseError():
            return "failed", failure.code
        case _:
            return "failed", type(failure).__name__
