"""An engine of the edge behind the cloud's gate: the same tokens, with a price on them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from cloud.prices import Price, cost, flops
from edge.engine import Engine
from edgewise.errors import CloudUnavailable, EdgeUnavailable
from edgewise.types import Chunk, Completion, CostBasis, Options, Prompt, SideStatus


class Priced:
    """`parameters` wins over what the engine knows; a cost or FLOPs that the engine reports itself stay."""

    def __init__(
        self, engine: Engine, price: Price | None, basis: CostBasis, label: str, parameters: float | None
    ) -> None:
        self._engine = engine
        self._price = price
        self._basis = basis
        self._label = label
        self._parameters = parameters or engine.info.parameters

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        try:
            async with aclosing(self._engine.generate(prompt, options)) as events:
                async for event in events:
                    yield self._priced(event) if isinstance(event, Completion) else event
        except EdgeUnavailable as error:  # the engine is an edge's, but here it stands for the cloud
            raise CloudUnavailable(error.message) from None

    async def status(self) -> SideStatus:
        info = self._engine.info
        return SideStatus(
            ready=True,
            model=info.model,
            model_hash=info.model_hash,
            label=self._label,
            context_tokens=info.context_tokens,
            parameters=self._parameters,
            queued=self._engine.load.queued,
            usd_per_mtok_prompt=self._price.usd_per_mtok_prompt if self._price else None,
            usd_per_mtok_completion=self._price.usd_per_mtok_completion if self._price else None,
            cost_basis=self._basis,
        )

    async def close(self) -> None:
        await self._engine.close()

    def _priced(self, end: Completion) -> Completion:
        money = cost(end.tokens, self._price) if end.cost_usd is None else end.cost_usd
        work = flops(self._parameters, end.tokens) if end.flops is None else end.flops
        basis = None if money is None else self._basis
        return end.model_copy(update={"cost_usd": money, "cost_basis": basis, "flops": work})
