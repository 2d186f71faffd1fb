"""Who is evaluated next: every running answer one token, then the most urgent prompt one chunk, and so on.

A prompt is never mixed with other tokens. So a long one stalls the running answers for no more than one chunk, a
cancelled one can be stopped inside llama.cpp without harm to the others, and what comes out does not depend on them.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from edge.llama.job import Found, Job
from edge.llama.machine.pace import Pace
from edge.llama.native import Aborted, Flag, Native, Work
from edge.llama.prefixes import Prefixes
from edgewise.errors import EdgeUnavailable, EdgewiseError, Internal

if TYPE_CHECKING:
    from edge.llama.machine.calibration import Tuning
    from edge.llama.native import Logits

log = logging.getLogger(__name__)

CLOSED = "the engine was closed; start it again"
_STALL_S = 0.15
_SMALLEST_CHUNK = 16
_ADAPTERS_KEPT = 8
_BATCH_PATIENCE_S = 60.0
"""So much later than it arrived an evaluation in the background counts as urgent: it waits, but it does not starve."""


class Scheduler:
    """Lives on the thread that owns llama.cpp. `is_invariant` as invariance.py has it."""

    def __init__(self, native: Native, prefixes: Prefixes, tuning: Tuning, *, is_invariant: bool) -> None:
        self._native = native
        self._prefixes = prefixes
        self._sequences = prefixes.idle
        self._tuning = tuning
        self._is_invariant = is_invariant
        self._step_pace = Pace(tuning.threads)
        self._chunk_pace = Pace(tuning.prompt_threads)
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._over: list[Job] = []
        self._token_s = 0.004
        self._stopped = Flag()
        self.default_adapter = ""

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._running

    @property
    def adapters(self) -> set[str]:
        """The digests of those that are in use, or will be soon."""
        return {self.default_adapter, *(job.space.adapter for job in (*self._waiting, *self._running))}

    def add(self, job: Job) -> None:
        if self._is_delicate(job):
            job.reusable = 0
        job.known = min(job.reusable, self._prefixes.shared(job.prompt, job.space))
        self._waiting.append(job)

    def round(self) -> None:
        for job in [*self._waiting, *self._running]:
            if job.flag.raised:
                job.put(EdgeUnavailable(CLOSED))  # who cancelled it does not listen any more
                self._end(job)
        self._generate()
        self._send()
        if prompts := self._prompts():
            self._evaluate_a_chunk(prompts)
            self._send()

    def fail(self, error: EdgewiseError) -> None:
        """End all jobs with this error, without asking llama.cpp for anything."""
        for job in [*self._waiting, *self._running]:
            job.put(error)
            job.end()
            self._over.append(job)
        self._waiting.clear()
        self._running.clear()
        self._prefixes.forget()
        self._send()

    def drop_prefixes(self) -> None:
        """A waiting prompt finds less than it was promised."""
        self._prefixes.drop()
        for job in self._waiting:
            job.known = min(job.known, self._prefixes.shared(job.prompt, job.space))

    def interrupt(self) -> None:
        """From any thread: end all jobs, the evaluation that runs included."""
        self._stopped.raise_()
        for job in [*self._waiting, *self._running]:
            job.flag.raise_()

    def _generate(self) -> None:
        """One token of every sequence that waits for one, in one evaluation if they can be evaluated together."""
        ready = [job for job in self._running if job.left == 1]
        # The adapter in use first; and llama.cpp computes neighbours together, but only in ascending order.
        ready.sort(key=lambda job: (job.space.adapter != self._native.adapter, self._company(job), job.sequence))
        for _, group in groupby(ready, key=self._company):
            jobs = list(group)
            rows, _ = self._evaluate(jobs, [job.work(1) for job in jobs], self._stopped, self._step_pace)
            for index, job in enumerate(jobs if rows is not None else ()):
                assert rows is not None
                self._advance(job, partial(job.advance, 1, Found(rows[index : index + 1], index)))

    def _company(self, job: Job) -> tuple[str, int]:
        """Jobs of equal company share an evaluation: those of one adapter, but for one that must be alone.

        Adapters round differently in company wherever they were tried.
        """
        is_alone = job.has_seed and (bool(job.space.adapter) or not self._is_invariant)
        return job.space.adapter, id(job) if is_alone or self._is_delicate(job) else 0

    def _is_delicate(self, job: Job) -> bool:
        """Its seed has to write the same text every time, and flash attention rounds differently in company, in chunks
        of another size and with another number of threads. So it gets the same of each, and no evaluated prefix.
        """
        return job.has_seed and self._tuning.flash_attention

    def _prompts(self) -> list[Job]:
        prompts = [job for job in self._running if job.left > 1]
        return prompts + [job for job in self._waiting if self._prefixes.idle > self._reserved(job)]

    def _evaluate_a_chunk(self, prompts: list[Job]) -> None:
        job = min(prompts, key=self._due)
        if job in self._waiting and not self._start(job):
            return
        if job.branches:
            self._evaluate_branches(job)
            return
        count = job.left if job.is_whole else math.ceil(job.left / math.ceil(job.left / self._chunk_tokens(job)))
        if job.left - count == 1:
            count -= 1  # nothing but a generated token is evaluated alone (see prefixes.Slot)
        rows, took_s = self._evaluate([job], [job.work(count)], job.flag, self._chunk_pace)
        if rows is not None:
            if count >= _SMALLEST_CHUNK:
                self._token_s += 0.2 * (took_s / count - self._token_s)
            self._advance(job, partial(job.advance, count, Found(rows, count - 1)))

    def _evaluate_branches(self, job: Job) -> None:
        """In as many sequences as are idle, and with what fits into one evaluation."""
        slots = self._prefixes.borrow(job.branches - 1)
        works = job.fork(slots, self._native.batch_tokens)
        rows, _ = self._evaluate([job], works, job.flag, self._chunk_pace)
        for slot in slots:
            self._prefixes.give_back(slot)
        if rows is not None:
            job.rewind()
            self._advance(job, partial(job.answer, Found(rows, len(rows) - 1, branches=len(works))))

    def _due(self, job: Job) -> float:
        """A prompt is the more urgent the earlier it came and the less of it is left: it overtakes a longer one, unless
        that one came before it by more than its own evaluation takes. So nobody starves."""
        patience_s = _BATCH_PATIENCE_S if job.is_batch else 0.0
        left = job.left or len(job.prompt) - job.known
        return job.submitted + left * self._token_s + patience_s

    def _reserved(self, job: Job) -> int:
        """How many sequences it must leave alone: the background may not take them all."""
        return 1 if job.is_batch and self._sequences > 1 else 0

    def _chunk_tokens(self, job: Job) -> int:
        """No more than what takes `_STALL_S` while somebody's answer is being written, who waits for it."""
        if self._is_delicate(job) or all(other.left > 1 for other in self._running):
            return self._tuning.chunk_tokens
        return min(self._tuning.chunk_tokens, max(_SMALLEST_CHUNK, int(_STALL_S / self._token_s)))

    def _start(self, job: Job) -> bool:
        """Give a job its sequence; false if there is nothing to evaluate, because it has failed already."""
        self._waiting.remove(job)
        self._running.append(job)
        if self._native.loaded_adapters > _ADAPTERS_KEPT:
            self._native.keep_adapters(self.adapters)
        try:
            job.start(self._native, self._prefixes.take(job.prompt, job.space, job.reusable))
        except EdgewiseError as error:
            job.put(error)
            self._end(job)
            return False
        return job.left > 1

    def _evaluate(
        self, jobs: Sequence[Job], works: Sequence[Work], flag: Flag, pace: Pace
    ) -> tuple[Logits | None, float]:
        """What was found and how many seconds it took; None if it came to nothing, which the jobs have been told."""
        tokens = sum(len(work.tokens) for work in works)
        threads = pace.team if self._is_delicate(jobs[0]) else pace.threads(tokens)
        started, processor = time.monotonic(), time.process_time()
        self._native.use_threads(threads)
        try:
            rows = self._native.evaluate(works, flag, jobs[0].space.adapter)
            took_s = time.monotonic() - started
            pace.took(threads, tokens, took_s, time.process_time() - processor)
            return rows, took_s
        except Aborted:
            for job in jobs:
                job.rewind()  # the next round ends what was cancelled
        except Internal as error:
            for job in jobs:
                job.rewind()
                job.put(error)
                self._end(job)
        return None, 0.0

    def _advance(self, job: Job, go_on: Callable[[], bool]) -> None:
        """Let a job work on what came out; it is over when it wants no more."""
        try:
            if go_on():
                return
        except EdgewiseError as error:
            job.put(error)
        except Exception:  # the thread's boundary: a fault in one job must not end the engine
            log.exception("a job of the engine failed")
            job.put(Internal("the engine failed; its log has the reason"))
        self._end(job)

    def _send(self) -> None:
        Job.send((*self._running, *self._over))
        self._over.clear()

    def _end(self, job: Job) -> None:
        self._over.append(job)
        if job in self._waiting:
            self._waiting.remove(job)
            return
        if slot := job.end():
            self._prefixes.give_back(slot)
        self._running.remove(job)
