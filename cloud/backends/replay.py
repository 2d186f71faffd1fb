"""Recorded answers of a large model: real ones, without an account, as often as one likes."""

from __future__ import annotations

from cloud.backends.priced import Priced
from cloud.config import CloudSettings
from cloud.prices import price_of
from edge.replay import ReplayEngine
from edgewise.errors import NotReady
from edgewise.types import CostBasis


async def open_replay(settings: CloudSettings) -> Priced:
    """A cost that was not recorded is computed from `cloud.model`'s price, if that is known. Either is SIMULATED."""
    if settings.replay_file is None:
        raise NotReady("the backend replay needs cloud.replay_file; set it in edgewise.toml")
    engine = await ReplayEngine.open(settings.replay_file, latency_scale=settings.latency_scale, model=settings.model)
    return Priced(
        engine,
        price=settings.own_price() or price_of(settings.model),
        basis=CostBasis.SIMULATED,
        label=engine.info.label,
        parameters=settings.parameters,
    )
