"""Several upstreams in order: the next one is asked where the one before could not answer, and the answer says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from cloud.backends import Backend
from cloud.backends.failure import Failure, is_elsewhere_better
from cloud.backends.figures import UpstreamFigures
from cloud.terms import Terms
from edgewise.errors import DeadlineExceeded, EdgewiseError, NotReady, Overloaded
from edgewise.types import Chunk, Completion, CostBasis, Options, Prompt, SideStatus

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A backend, the model that it asks, and what tells it from every other one: its place."""

    model: str
    place: str
    backend: Backend
    figures: UpstreamFigures


class Upstreams:
    """The first that can answer does, before a token of another was sent on; which one, its Completion says.

    An answer from a later one is `via` fallback, in its words and at its price. Its cost is unknown where one before
    it may have worked, and may bill, without an answer. What is wrong with the request itself is wrong everywhere.
    """

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self._upstreams = tuple(upstreams)

    def permitted(self, terms: Terms) -> tuple[Upstream, ...]:
        if terms.models is None:
            return self._upstreams
        return tuple(upstream for upstream in self._upstreams if upstream.model in terms.models)

    def places(self, terms: Terms) -> str:
        """Who may be asked, in order."""
        return " ".join(upstream.place for upstream in self.permitted(terms))

    def generate(self, prompt: Prompt, options: Options, terms: Terms) -> AsyncGenerator[Chunk | Completion]:
        permitted = self.permitted(terms)
        if len(permitted) == 1:
            return permitted[0].backend.generate(prompt, options)
        return self._first_able(permitted, prompt, options, terms)

    async def status(self, terms: Terms) -> SideStatus:
        """The first one's, with the highest prices of any that may answer; None once one of them is unknown."""
        permitted = self.permitted(terms)
        if not permitted:
            return SideStatus(ready=False, label="none", reason=_none_permitted(terms).message)
        if len(permitted) == 1:
            return await permitted[0].backend.status()
        every = [await upstream.backend.status() for upstream in permitted]
        return every[0].model_copy(
            update={
                "ready": any(status.ready for status in every),
                "label": ", else ".join(status.label for status in every),
                "reason": "; ".join(status.reason for status in every if status.reason),
                "usd_per_mtok_prompt": _highest([status.usd_per_mtok_prompt for status in every]),
                "usd_per_mtok_completion": _highest([status.usd_per_mtok_completion for status in every]),
                "cost_basis": CostBasis.weakest(status.cost_basis for status in every),
            }
        )

    async def _first_able(
        self, permitted: Sequence[Upstream], prompt: Prompt, options: Options, terms: Terms
    ) -> AsyncGenerator[Chunk | Completion]:
        if not permitted:
            raise _none_permitted(terms)
        now = asyncio.get_running_loop().time
        began, left, failed, has_begun = now(), options, list[EdgewiseError](), False
        for upstream in permitted:
            try:
                async with aclosing(upstream.backend.generate(prompt, left)) as events:
                    async for event in events:
                        has_begun = True
                        yield _fallback(event, failed) if failed and isinstance(event, Completion) else event
                    return
            except EdgewiseError as error:
                if has_begun:
                    raise
                failed.append(error)
                if not is_elsewhere_better(error):
                    break
            if options.timeout_s is not None:
                left = options.model_copy(update={"timeout_s": options.timeout_s - (now() - began)})
                if left.timeout_s is not None and left.timeout_s <= 0:
                    break
            if upstream is not permitted[-1]:
                upstream.figures.passed_over += 1
                log.warning("the next upstream is asked: %s", failed[-1].message)
        raise _all_failed(failed)


def _billed(failed: Sequence[EdgewiseError]) -> bool:
    return any(isinstance(error, Failure) and error.billed for error in failed)


def _fallback(end: Completion, failed: Sequence[EdgewiseError]) -> Completion:
    if _billed(failed):
        return end.model_copy(update={"via": "fallback", "cost_usd": None, "cost_basis": None})
    return end.model_copy(update={"via": "fallback"})


def _all_failed(failed: Sequence[EdgewiseError]) -> EdgewiseError:
    """The last one, if that is the request's own fault or time; else all of them, so that a bill may come of any."""
    *others, last = failed
    if not others or isinstance(last, DeadlineExceeded) or not (is_elsewhere_better(last) or _billed(others)):
        return last
    waits = [error.retry_after_s for error in failed if error.retry_after_s is not None]
    words, wait = f"no upstream can answer: {'; '.join(error.message for error in failed)}", min(waits, default=None)
    if all(isinstance(error, Overloaded) for error in failed):
        return Overloaded(words, retry_after_s=wait)
    return Failure(words, billed=_billed(failed), retry_after_s=wait)


def _none_permitted(terms: Terms) -> NotReady:
    names = ", ".join(sorted(terms.models or ()))
    return NotReady(f"none of the models that this key may use ({names or 'none'}) is served here; ask for another key")


def _highest(prices: Sequence[float | None]) -> float | None:
    known = [price for price in prices if price is not None]
    return max(known) if len(known) == len(prices) else None
