"""A contender's process: `python -m tests.bench.engine.child` reads what to do from standard input, as JSON, and writes
what it found to standard output."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

from edgewise.types import Value
from tests.bench.engine import machine
from tests.bench.engine.contenders import Contender, make
from tests.bench.engine.plan import Answer, Asked, Cell, Measured, Probed, Probes, Visit, Visited

_WARM_UP_TOKENS = 8
_TIMEOUT_S = 1200.0  # before the benchmark ends this process, and leaves a server behind


async def visit(visit: Visit) -> Visited:
    contender = make(visit)
    started = time.monotonic()
    await contender.open()
    try:
        load_s = time.monotonic() - started
        idle = machine.memory(contender.processes())
        async with asyncio.timeout(_TIMEOUT_S):
            await contender.answer(visit.warm_up, _WARM_UP_TOKENS)
            cells = [await measure(contender, cell) for cell in visit.cells]
        return Visited(
            contender=visit.contender,
            load_s=load_s,
            idle=idle,
            about=contender.about,
            kernels=contender.kernels,
            cells=tuple(cells),
        )
    finally:
        await contender.close()


async def measure(contender: Contender, cell: Cell) -> Measured:
    others, energy = machine.Others(contender.processes()), machine.joules()
    started = time.monotonic()
    answers = await ask_all(contender, cell.asked, cell.streams, cell.new_tokens)
    wall_s = time.monotonic() - started
    used = machine.joules()
    return Measured(
        workload=cell.workload,
        streams=cell.streams,
        wall_s=wall_s,
        answers=answers,
        others=others.share(),
        memory=machine.memory(contender.processes()),
        joules=None if energy is None or used is None or used < energy else used - energy,
    )


async def ask_all(contender: Contender, asked: Sequence[Asked], streams: int, new_tokens: int) -> tuple[Answer, ...]:
    """All answers, so many at once: each stream asks for the next as soon as it has its last."""
    waiting = iter(asked)

    async def stream() -> list[Answer]:
        return [await contender.answer(one, new_tokens) for one in waiting]

    answered = await asyncio.gather(*(stream() for _ in range(streams)))
    return tuple(answer for answers in answered for answer in answers)


def main() -> None:
    kind, _, task = sys.stdin.read().partition("\n")
    found: Value
    if kind == "probe":
        from tests.bench.engine.probes import probe

        found = asyncio.run(probe(Probes.model_validate_json(task)))
        assert isinstance(found, Probed)
    else:
        found = asyncio.run(visit(Visit.model_validate_json(task)))
    print(found.model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
