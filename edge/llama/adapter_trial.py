"""Does an adapter fit its model? Asked of a child process, because llama.cpp ends the process over some that do not.

`python -m edge.llama.adapter_trial MODEL ADAPTER` decodes with it; `check` runs that, and remembers a pass.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from edge import models
from edge.llama.adapters import Adapter
from edge.llama.machine import build, selftest
from edge.llama.machine.calibration import Tuning
from edge.models import gguf_header
from edgewise import place
from edgewise.errors import InvalidInput, NotReady

_ADVICE = "make it anew, from this model and with its linear layers only"


async def check(model: Path, adapter: Adapter, *, repack: bool) -> None:
    """InvalidInput if the model cannot decode with it; a pass holds for these two, the build and the processor."""
    digest = await asyncio.to_thread(models.digest, model)
    mark = place.cache_dir() / "selftest" / build.key(digest, adapter.digest, str(repack))
    if mark.exists():
        return
    try:
        await asyncio.to_thread(gguf_header.check_head, adapter.path)
    except gguf_header.Malformed as fault:
        raise InvalidInput(f"the adapter {adapter.name} is damaged: {fault}; {_ADVICE}") from None
    except OSError as error:
        raise NotReady(f"{adapter.path} cannot be read: {error.strerror}; replace or remove it") from None
    status, last = await selftest.run("edge.llama.adapter_trial", str(model), str(adapter.path), str(repack))
    if status < 0:
        raise InvalidInput(f"llama.cpp dies of the adapter {adapter.name}; {_ADVICE}")
    if status != 0:
        raise InvalidInput(last[:500])
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


def decode(model: Path, adapter: Path, *, repack: bool) -> None:
    import numpy as np

    from edge.llama.native import Flag, Native, Work

    build.be_expendable()
    native = Native(model, 512, 1, Tuning.default(build.cores(), repack=repack))
    native.load_adapter(adapter, models.digest(adapter))
    tokens = np.arange(2, 10, dtype=np.int32)
    many = native.evaluate([Work(0, 0, tokens, "every")], Flag(), models.digest(adapter)).copy()
    one = native.evaluate([Work(0, len(tokens), tokens[:1], "last")], Flag(), models.digest(adapter))
    if not (np.isfinite(many).all() and np.isfinite(one).all()):
        raise InvalidInput(f"with {adapter.name} the model gives no numbers; {_ADVICE}")
    native.close()


if __name__ == "__main__":
    try:
        decode(Path(sys.argv[1]), Path(sys.argv[2]), repack=sys.argv[3] == "True")
    except (InvalidInput, NotReady) as error:
        sys.exit(error.message)
