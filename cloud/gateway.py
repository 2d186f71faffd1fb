"""The gate: upstreams, what stands before them, cloud info and a limit, put together as one Cloud."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from cloud.answer import Answer
from cloud.backends import Backend
from cloud.backends.figures import GateFigures, UpstreamFigures
from cloud.cached import Cached
from cloud.config import CloudSettings
from cloud.info.fetch import CloudInfo
from cloud.kept import Kept
from cloud.repeated import Repeated
from cloud.terms import OWNER, Answers, Terms
from cloud.upstreams import Upstream, Upstreams
from edgewise.errors import NotReady
from edgewise.rpc import Admission
from edgewise.types import Chunk, Completion, Findings, Options, Prompt, Query, Released, SideStatus

log = logging.getLogger(__name__)

_REMEMBERED_S = 600.0
_MOST_REMEMBERED = 2000
_MOST_REMEMBERED_BYTES = 16 * 2**20


class CloudGateway:
    """A Gate: `open` makes one, `close` frees it. One call more than the limit gets Overloaded.

    `under` gives the same gateway, to be used for one call, as a caller sees it; the gateway itself is the owner's.
    """

    def __init__(self, gate: _Gate, terms: Terms = OWNER) -> None:
        self._gate = gate
        self._terms = terms

    @classmethod
    async def open(cls, settings: CloudSettings, data_dir: Path) -> Self:
        """Opens the upstreams and reads the corpora into `data_dir`/cloud; NotReady says what is missing."""
        async with AsyncExitStack() as resources:
            upstreams = [await _open_upstream(each, settings, resources) for each in _first_to_last(settings)]
            figures = GateFigures(tuple(upstream.figures for upstream in upstreams))
            of_all = Upstreams(upstreams)
            answers, kept = _answers(of_all, settings, figures)
            info = await CloudInfo.open(settings, data_dir / "cloud", _Model(answers, OWNER))
            resources.push_async_callback(info.close)
            admission = Admission(settings.max_concurrent)
            return cls(_Gate(answers, of_all, info, admission, kept, figures, resources.pop_all()))

    @property
    def figures(self) -> GateFigures:
        """What can be observed, as it is now."""
        return self._gate.figures

    def under(self, terms: Terms) -> Self:
        return type(self)(self._gate, terms)

    async def generate(self, prompt: Released[Prompt], options: Options) -> AsyncGenerator[Chunk | Completion]:
        with self._gate.admission:
            async with aclosing(self._gate.answers.generate(prompt.value, options, self._terms)) as events:
                async for event in events:
                    yield event

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        gate, terms = self._gate, self._terms
        with gate.admission:
            info = gate.info.with_model(_Model(gate.answers, replace(terms, idempotency_key="")))
            return await gate.answers.look_up(query.value, terms, lambda: info.retrieve(query.value, timeout_s))

    @property
    def most_bills(self) -> int:
        return len(self._gate.upstreams.permitted(self._terms))

    async def status(self) -> SideStatus:
        status, info = await self._gate.answers.status(self._terms), self._gate.info
        return status.model_copy(update={**info.counts, "usd_per_fetch": info.most_usd(status)})

    async def forget_answers(self) -> int:
        return sum(kept.forget(self._terms.caller) for kept in self._gate.kept)

    async def close(self) -> None:
        await self._gate.resources.aclose()


@dataclass(frozen=True, slots=True)
class _Gate:
    """What all callers share."""

    answers: Repeated
    upstreams: Upstreams
    info: CloudInfo
    admission: Admission
    kept: tuple[Kept[Answer], Kept[tuple[bytes, Answer | Findings]]]
    figures: GateFigures
    resources: AsyncExitStack


@dataclass(frozen=True, slots=True)
class _Model:
    """The upstreams as the Backend of one caller's look-ups, which may have no others than its answers."""

    answers: Answers
    terms: Terms

    def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        return self.answers.generate(prompt, options, self.terms)

    async def status(self) -> SideStatus:
        return await self.answers.status(self.terms)

    async def close(self) -> None:
        """They are the gateway's."""


def _answers(
    upstreams: Upstreams, settings: CloudSettings, figures: GateFigures
) -> tuple[Repeated, tuple[Kept[Answer], Kept[tuple[bytes, Answer | Findings]]]]:
    """Everything that a call goes through, the outermost last: repeated > cached > upstreams > each upstream's own.

    What is off is not there, so that it costs nothing.
    """
    cache = Kept[Answer](
        entries=settings.cache_entries, most_bytes=settings.cache_mib * 2**20, ttl_s=settings.cache_ttl_s
    )
    remembered = Kept[tuple[bytes, Answer | Findings]](
        entries=_MOST_REMEMBERED, most_bytes=_MOST_REMEMBERED_BYTES, ttl_s=_REMEMBERED_S
    )
    answers: Answers = upstreams
    if settings.cache_entries:
        answers = Cached(answers, cache, figures, upstreams.places)
    return Repeated(answers, remembered, figures), (cache, remembered)


def _first_to_last(settings: CloudSettings) -> tuple[CloudSettings, ...]:
    if settings.backend == "openai_compatible":
        return settings.upstreams()
    if settings.fallback:
        log.warning("cloud.fallback is for the backend openai_compatible; %s is used alone", settings.backend)
    return (settings,)


async def _open_upstream(settings: CloudSettings, gate: CloudSettings, resources: AsyncExitStack) -> Upstream:
    """The backend that the settings name, behind what its kind needs: retried > breaker > backend.

    The breaker sees every try, so that the retries of few calls open it as well as many calls. While another upstream
    can be asked, this one is not waited for.
    """
    figures = UpstreamFigures(f"{settings.model} at {settings.server}")
    backend = await _open_backend(settings, figures)
    resources.push_async_callback(backend.close)
    status = await backend.status()
    if settings.backend == "openai_compatible":
        from cloud.backends.breaker import Breaker
        from cloud.backends.retried import Allowance, Retried

        backend = Breaker(
            backend,
            figures,
            failures=settings.breaker_failures,
            pause_s=settings.breaker_pause_s,
            patience_s=settings.connect_timeout_s,
        )
        is_last = settings == gate.upstreams()[-1]
        backend = Retried(
            backend,
            Allowance(settings.retry_share),
            figures,
            attempts=settings.attempts,
            budget_s=settings.retry_budget_s if is_last else min(settings.retry_budget_s, 1.0),
        )
    else:
        figures.name = status.label
    return Upstream(status.model, f"{settings.base_url} {status.model}", backend, figures)


async def _open_backend(settings: CloudSettings, figures: UpstreamFigures) -> Backend:
    """Each is imported here, because each brings a heavy library."""
    match settings.backend:
        case "openai_compatible":
            from cloud.backends.openai_compatible import OpenAICompatible

            return OpenAICompatible(settings, figures)
        case "llama":
            from cloud.backends.llama import open_llama

            return await open_llama(settings)
        case "replay":
            from cloud.backends.replay import open_replay

            return await open_replay(settings)
        case None:
            raise NotReady("a gateway needs a backend; set cloud.backend to openai_compatible, llama or replay")
