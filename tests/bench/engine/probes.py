"""The figures that only our engine has: what a warm prefix saves, and what confidence, grammars and cancelling cost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from edgewise.errors import EdgewiseError
from edgewise.types import Options, Sampling
from tests.bench.engine import figures, native
from tests.bench.engine.child import ask_all
from tests.bench.engine.ours import Ours, ask
from tests.bench.engine.plan import Asked, Found, Probed, Probes, Workload
from tests.bench.engine.prompts import PromptMaker

_SCHEMA = (
    '{"type": "object", "properties": {"story": {"type": "string"}}, "required": ["story"], '
    '"additionalProperties": false}'
)
_QUESTION_TOKENS = 20
"""What follows a shared prefix: a short question, and the template's words after it."""
_TINY_TOKENS = 40
_TICK_S = 0.001


async def probe(task: Probes) -> Probed:
    maker = PromptMaker(Path(task.setup.model), task.seed)
    ours = Ours(task.setup, task.flash_attention)
    await ours.open()
    bench = _Bench(ours, maker, task)
    await ours.answer(maker.alone(task.prompt_tokens), 8)
    found: list[Found] = []
    try:
        for name, take in bench.probes().items():
            try:
                found += await take()
            except (EdgewiseError, figures.Unanswered) as error:
                found.append(Found(name=name, value=None, note=str(error)))
    finally:
        await ours.close()
        maker.close()
    # The parts below the engine are measured on a model of their own, when the engine's memory is free again.
    found += await asyncio.to_thread(native.probe, task)
    return Probed(found=tuple(found))


class _Bench:
    def __init__(self, ours: Ours, maker: PromptMaker, task: Probes) -> None:
        self._ours = ours
        self._maker = maker
        self._task = task
        self._repeats = task.repeats
        self._random = random.Random(task.seed)

    def probes(self) -> dict[str, Callable[[], Awaitable[list[Found]]]]:
        """By the key of the summary that each is for."""
        return {
            "warm_prefix_vs_cold": self._prefix,
            "loop_lag_p99_ms": self._lag,
            "cancel_p99_s": self._cancel,
            "grammar_overhead": self._grammar,
        }

    async def _prefix(self) -> list[Found]:
        """TTFT after a long prefix: new, just seen, and seen before as many other conversations as there are slots."""
        length, times = self._repeats.prefix_tokens, dict[str, list[float]](cold=[], warm=[], warm_after_others=[])
        reused: list[float] = []
        for _ in range(self._repeats.prefix):
            cold, warm, later = self._maker.sharing(length + _QUESTION_TOKENS, length, 3)
            times["cold"].append(await self._ttft(cold))
            times["warm"].append(await self._ttft(warm))
            await ask_all(self._ours, self._some(self._repeats.conversations), self._task.setup.parallel, 4)
            answer = await self._ours.answer(later, 1)
            times["warm_after_others"].append(figures.required_ttft(answer))
            reused.append(float(answer.cached_tokens or 0))
        cold_s = figures.median(times["cold"])
        ratios = {name: figures.median(times[name]) / cold_s for name in ("warm", "warm_after_others")}
        note = f"the worse of {ratios['warm']:.3f} at once and {ratios['warm_after_others']:.3f} after others"
        return [
            Found(name="warm_prefix_vs_cold", value=max(ratios.values()), note=note),
            *(_seconds(f"{name}_prefix_ttft_s", samples) for name, samples in times.items()),
            Found(name="reused_prefix_tokens", value=figures.median(reused), samples=tuple(reused)),
        ]

    async def _lag(self) -> list[Found]:
        """How late a task wakes that wants to run every millisecond, while all sequences write."""
        late: list[float] = []

        async def tick() -> None:
            clock = asyncio.get_running_loop().time
            while True:
                due = clock() + _TICK_S
                await asyncio.sleep(_TICK_S)
                late.append(1000 * (clock() - due))

        ticker = asyncio.create_task(tick())
        for _ in range(self._repeats.lag_rounds):
            parallel = self._task.setup.parallel
            await ask_all(self._ours, self._some(parallel), parallel, self._task.new_tokens)
        ticker.cancel()
        with suppress(asyncio.CancelledError):
            await ticker
        return [
            Found(name="loop_lag_p99_ms", value=figures.percentile(late, 0.99), note=f"{len(late)} wake-ups"),
            Found(name="loop_lag_max_ms", value=max(late)),
        ]

    async def _cancel(self) -> list[Found]:
        """From cancelling a lone long prompt at a random moment until another request has its first token, less what
        such a request takes anyway."""
        tiny = self._maker.alone(_TINY_TOKENS)
        # With a cache key of its own, no other prompt takes its sequence for what little they share.
        options = Options(sampling=Sampling(max_tokens=1), cache_key="tiny")
        usual = [await ask(self._ours.engine, tiny, options) for _ in range(1 + min(5, self._repeats.cancels))][1:]
        usual_s = figures.median(map(figures.required_ttft, usual))
        whole_s = await self._ttft(self._maker.alone(self._repeats.cancelled_tokens))
        taken: list[float] = []
        for _ in range(self._repeats.cancels):
            prompt = self._maker.alone(self._repeats.cancelled_tokens)
            running = asyncio.create_task(self._ours.answer(prompt, self._task.new_tokens))
            await asyncio.sleep(self._random.uniform(0.0, whole_s))
            started = time.monotonic()
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            answer = await ask(self._ours.engine, tiny, options)
            taken.append(max(0.0, answer.sent_s + figures.required_ttft(answer) - started - usual_s))
        note = f"{len(taken)} cancels of prompts that take {whole_s:.2f} s; an idle engine answers in {usual_s:.3f} s"
        return [
            Found(name="cancel_p99_s", value=figures.percentile(taken, 0.99), note=note, samples=tuple(taken)),
            Found(name="cancel_p50_s", value=figures.percentile(taken, 0.5)),
        ]

    async def _grammar(self) -> list[Found]:
        """Seconds a token, after the first, of an answer that a schema holds and of a free one."""
        await self._write(_SCHEMA, 1)  # compiles it
        overheads = {}
        for streams in (1, self._task.setup.parallel):
            free, held = [], []
            for _ in range(max(1, self._repeats.answers // streams)):
                free += await self._write("", streams)
                held += await self._write(_SCHEMA, streams)
            overheads[streams] = figures.median(held) / figures.median(free) - 1
        alone, together = overheads[1], overheads[self._task.setup.parallel]
        return [
            Found(name="grammar_overhead", value=alone, note="one stream: seconds a token against free text"),
            Found(name="grammar_overhead_all_streams", value=together),
        ]

    async def _write(self, schema: str, streams: int) -> list[float]:
        """Seconds a token of one answer a stream, all at once."""
        options = Options(sampling=Sampling(max_tokens=self._task.new_tokens), response_schema=schema)
        answers = await asyncio.gather(*(ask(self._ours.engine, one, options) for one in self._some(streams)))
        return [seconds for answer in answers if (seconds := figures.token_s(answer)) is not None]

    async def _ttft(self, asked: Asked) -> float:
        return figures.required_ttft(await self._ours.answer(asked, 1))

    def _some(self, count: int) -> tuple[Asked, ...]:
        return self._maker.batch(Workload("", self._task.prompt_tokens), count)


def _seconds(name: str, samples: list[float]) -> Found:
    return Found(name=name, value=figures.median(samples), samples=tuple(samples))
