"""llama.cpp as the scheduler and the prefixes see it, with lists of tokens for a KV cache, and its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.llama.job import Found, Job, Need
from edge.llama.machine.calibration import Tuning
from edge.llama.native import Aborted, Flag, Native, Work
from edge.llama.prefixes import Prefixes, Space
from edge.llama.scheduler import Scheduler
from edgewise.errors import Internal

if TYPE_CHECKING:
    from edge.llama.native import Logits, State, Tokens

SECONDS_A_TOKEN = 0.01
CHUNK = 16


class Clock:
    """Stands in for the module `time`; an evaluation moves it on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def process_time(self) -> float:
        return 2 * self.now  # both cores, all the time


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One evaluation: how many tokens went to each sequence."""

    counts: dict[int, int]
    adapter: str


class FakeNative(Native):
    """Every token costs the same, and its logits are its number. It checks that nothing is evaluated out of place."""

    def __init__(self, sequences: int, *, cuts: bool = True) -> None:
        self._adapters = {}
        self._adapter = ""
        self.clock = Clock()
        self.cache: list[list[int]] = [[] for _ in range(sequences)]
        self.evaluations: list[Evaluated] = []
        self.fails = False
        self.restores = True
        self._cuts = cuts

    def evaluate(self, works: Sequence[Work], flag: Flag, adapter: str = "") -> Logits:
        rows: list[int] = []
        for work in works:
            held = self.cache[work.sequence]
            assert len(held) == work.position, "a sequence goes on where it ends"
            assert len(work.tokens), "nothing is evaluated for nothing"
            held.extend(map(int, work.tokens))
            rows += {"none": [], "last": held[-1:], "every": held[work.position :]}[work.wanted]
        if flag.raised:
            raise Aborted
        if self.fails:
            raise Internal("as the test wants it")
        self.evaluations.append(Evaluated({work.sequence: len(work.tokens) for work in works}, adapter))
        self.clock.now += SECONDS_A_TOKEN * sum(len(work.tokens) for work in works)
        return np.array(rows, np.float32)[:, None]

    def use_threads(self, threads: int) -> None:
        pass

    def cut(self, sequence: int, length: int) -> int:
        kept = length if self._cuts or length == len(self.cache[sequence]) else 0
        del self.cache[sequence][kept:]
        return kept

    def save(self, sequence: int) -> State:
        return np.array(self.cache[sequence], np.int32).view(np.uint8).copy()

    def restore(self, sequence: int, state: State) -> bool:
        self.cache[sequence] = np.array(state).view(np.int32).tolist() if self.restores else []
        return self.restores

    def load_adapter(self, path: object, digest: str) -> None:
        pass


class Bench:
    """A scheduler on a fake llama.cpp, worked by hand: it does a round when the test says so."""

    def __init__(self, sequences: int = 2, *, is_invariant: bool = True, max_bytes: int = 0, cuts: bool = True) -> None:
        self.native = FakeNative(sequences, cuts=cuts)
        self.prefixes = Prefixes(self.native, sequences, max_bytes)
        self.scheduler = Scheduler(
            self.native, self.prefixes, Tuning(1, 1, CHUNK, flash_attention=False), is_invariant=is_invariant
        )
        self.order: list[str] = []

    def job(
        self,
        name: str,
        prompt: Tokens,
        answer: int = 1,
        *,
        at: float | None = None,
        is_batch: bool = False,
        has_seed: bool = False,
        adapter: str = "",
    ) -> Job:
        """Evaluates a prompt, notes its name in `order`, and draws so many tokens; arrives now, or `at` a time."""

        def steps(job: Job) -> Generator[Need, Found, None]:
            yield Need(job.prompt[job.cached :])
            self.order.append(name)
            for token in range(answer - 1):
                yield Need(np.array([token], np.int32))
            job.put(name)

        job = Job(
            steps,
            prompt,
            Space("", adapter),
            reusable=len(prompt),
            is_batch=is_batch,
            has_seed=has_seed,
        )
        job.submitted = self.native.clock.now if at is None else at
        self.scheduler.add(job)
        return job

    async def work(self, rounds: int = 10_000) -> None:
        """So many rounds, or until there is nothing to do."""
        for _ in range(rounds):
            if self.scheduler.is_idle:
                break
            self.scheduler.round()
        await asyncio.sleep(0)  # what the jobs have put arrives


def text(length: int, seed: int = 0) -> Tokens:
    """Tokens that no other seed's text begins with."""
    return (np.arange(length) + 1000 * seed).astype(np.int32)
