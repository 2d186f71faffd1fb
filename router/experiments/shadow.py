"""Questions of the control, asked once more in another mode when nobody waits for the answer.

What a question may cost is taken off the money before it is asked, on disk as well, and settled by its record. So the
sum is kept, whatever is killed when: what was not settled counts as spent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from edgewise.errors import EdgewiseError
from edgewise.types import Experiment, Question, Record, Sampling, SideStatus, Skipped
from router import prompts
from router.experiments.assignment import Seat
from router.experiments.checking import needs_cloud

log = logging.getLogger(__name__)

# An answer may take a judgement, look-ups and longer prompts beside its plain price.
_CALLS = 4
_PATIENCE_S = 120.0

OTHERS_WAITED = "other questions were being answered"
ONE_AT_A_TIME = "another shadow answer was being written"
NO_CLOUD = "the cloud was not ready"
NO_PRICE = "the price was unknown"
NO_MONEY = "the money left did not cover the worst case"
NO_FILE = "the file of the experiment could not be written"
STOPPING = "edgewise or the experiment was being stopped"

Ask = Callable[[Question, Seat], Awaitable[None]]
CloudStatus = Callable[[], Awaitable[SideStatus]]


class Shadow:
    """`save` writes down what was spent, or raises; it is called before anything is asked."""

    def __init__(
        self,
        experiment: Experiment,
        save: Callable[[], Awaitable[None]],
        spent_usd: float,
        skipped: tuple[Skipped, ...],
    ) -> None:
        self._experiment = experiment
        self._save = save
        self._settled = spent_usd
        self._reserved = 0.0
        self._skipped = Counter({one.reason: one.count for one in skipped})
        self._running: asyncio.Task[None] | None = None
        self._asked = False

    @property
    def spent_usd(self) -> float:
        """With what the answer that is being written may cost."""
        return self._settled + self._reserved

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        return tuple(Skipped(reason=reason, count=count) for reason, count in sorted(self._skipped.items()))

    def offer(
        self, question: Question, record: Record, seat: Seat, *, alone: bool, cloud: CloudStatus, ask: Ask
    ) -> None:
        """Asks a question that the control has answered once more, in the background, unless something speaks against.

        `alone` is whether nobody else's question is being answered. `question.sampling` bounds the length.
        """
        if self._running is not None and not self._running.done():
            self._skipped[ONE_AT_A_TIME] += 1
        elif not alone:
            self._skipped[OTHERS_WAITED] += 1
        else:
            again = question.model_copy(
                update={
                    "request_id": "",
                    "conversation_id": "",
                    "history": seat.history,
                    "mode": self._experiment.shadow,
                    "max_latency_s": _PATIENCE_S,
                    "hold": True,
                }
            )
            own = Seat(seat.experiment, self._experiment.shadow, None, self._experiment.shadow, record.record_id)
            self._asked = False
            self._running = asyncio.create_task(self._ask(again, own, cloud, ask))

    def settled(self, record: Record) -> None:
        """Its record is there; without a known cost the reservation stands."""
        self._settled += self._reserved if record.cost_usd is None else record.cost_usd
        self._reserved = 0.0

    async def close(self) -> None:
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.wait({self._running})
            if not self._asked:
                self._reserved = 0.0
                self._skipped[STOPPING] += 1

    async def _ask(self, question: Question, seat: Seat, cloud: CloudStatus, ask: Ask) -> None:
        reason, limit = await self._reserve(question, cloud)
        if reason:
            self._skipped[reason] += 1
            return
        self._asked = True
        try:
            await ask(question.model_copy(update={"max_cost_usd": limit}), seat)
        except EdgewiseError as error:
            log.info("a shadow answer failed: %s", error.message)
        finally:
            self._settled, self._reserved = self.spent_usd, 0.0  # of an answer that left no record
            with suppress(EdgewiseError):  # what is on disk is more than was spent: the next time puts it right
                await self._save()

    async def _reserve(self, question: Question, cloud: CloudStatus) -> tuple[str, float]:
        """Why not, or what the answer may cost in the cloud."""
        worst = 0.0
        if needs_cloud(self._experiment.shadow):
            status = await cloud()
            answer = status.most_usd(prompts.closed_book(question), (question.sampling or Sampling()).max_tokens)
            if not status.ready:
                return NO_CLOUD, 0.0
            if answer is None or status.usd_per_fetch is None:
                return NO_PRICE, 0.0
            worst = answer + status.usd_per_fetch
        left = (self._experiment.shadow_usd or 0.0) - self.spent_usd
        if left <= 0 or worst > left:
            return NO_MONEY, 0.0
        limit = min(left, _CALLS * worst)
        self._reserved = limit
        try:
            await self._save()
        except EdgewiseError as error:
            log.warning("no shadow answer: %s", error.message)
            self._reserved = 0.0
            return NO_FILE, 0.0
        return "", limit
