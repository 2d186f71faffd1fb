"""The gate: a backend, cloud info and a limit, put together as one Cloud."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Self

from cloud.backends import Backend
from cloud.config import CloudSettings
from cloud.info.fetch import CloudInfo
from cloud.terms import OWNER, Terms
from edgewise.errors import NotReady
from edgewise.rpc import Admission
from edgewise.types import Chunk, Completion, Findings, Options, Prompt, Query, Released, SideStatus


class CloudGateway:
    """A Cloud: `open` makes one, `close` frees it. One call more than the limit gets Overloaded."""

    def __init__(
        self, backend: Backend, info: CloudInfo, admission: Admission, resources: AsyncExitStack, terms: Terms = OWNER
    ) -> None:
        self._backend = backend
        self._info = info
        self._admission = admission
        self._resources = resources
        self._terms = terms

    @classmethod
    async def open(cls, settings: CloudSettings, data_dir: Path) -> Self:
        """Opens the configured backend and reads the corpora into `data_dir`/cloud; NotReady says what is missing."""
        async with AsyncExitStack() as resources:
            backend = await _open_backend(settings)
            resources.push_async_callback(backend.close)
            info = await CloudInfo.open(settings, data_dir / "cloud", backend)
            resources.push_async_callback(info.close)
            return cls(backend, info, Admission(settings.max_concurrent), resources.pop_all())

    def under(self, terms: Terms) -> Self:
        return type(self)(self._backend, self._info, self._admission, self._resources, terms)

    async def generate(self, prompt: Released[Prompt], options: Options) -> AsyncGenerator[Chunk | Completion]:
        with self._admission:
            async with aclosing(self._backend.generate(prompt.value, options)) as events:
                async for event in events:
                    yield event

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        with self._admission:
            return await self._info.retrieve(query.value, timeout_s)

    async def status(self) -> SideStatus:
        status = await self._backend.status()
        return status.model_copy(update={**self._info.counts, "usd_per_fetch": self._info.most_usd(status)})

    async def forget_answers(self) -> int:
        return 0

    async def close(self) -> None:
        await self._resources.aclose()


async def _open_backend(settings: CloudSettings) -> Backend:
    """The backend that the settings name. Each is imported here, because each brings a heavy library."""
    match settings.backend:
        case "openai_compatible":
            from cloud.backends.openai_compatible import OpenAICompatible

            return OpenAICompatible(settings)
        case "llama":
            from cloud.backends.llama import open_llama

            return await open_llama(settings)
        case "replay":
            from cloud.backends.replay import open_replay

            return await open_replay(settings)
        case None:
            raise NotReady("a gateway needs a backend; set cloud.backend to openai_compatible, llama or replay")
