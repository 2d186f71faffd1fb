"""The stand-in: a small model in this process, so that everything works without an account.

It writes what the edge's model would write. A comparison with it shows what information is worth, never what size is.
"""

from __future__ import annotations

import os

from cloud.backends.priced import Priced
from cloud.config import CloudSettings
from cloud.prices import NOTIONAL
from edge import models
from edge.llama.engine import LlamaEngine
from edgewise.types import CostBasis


async def open_llama(settings: CloudSettings) -> Priced:
    """NotReady when the model is not on this machine. It takes half of the cores, because the edge has work as well."""
    default = models.SMOLLM2
    engine = await LlamaEngine.open(
        models.locate(settings.model or default.name),
        context_tokens=settings.context_tokens,
        threads=settings.threads or max(1, (os.cpu_count() or 1) // 2),
        max_queue=settings.max_concurrent,
    )
    what = "the edge's default model, not a large one" if engine.info.model == default.name else "run by the gateway"
    return Priced(
        engine,
        price=settings.own_price() or NOTIONAL,
        basis=CostBasis.NOTIONAL,
        label=f"stand-in: {engine.info.label}, {what}",
        parameters=settings.parameters,
    )
