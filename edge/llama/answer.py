"""What the engine does with a prompt: write an answer, or score given ones. Each as if it were alone with the model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from edge.engine import EngineInfo
from edge.llama.job import Branches, Found, Job, Need, Steps
from edge.llama.native import Native
from edge.llama.sampling import Gauge, Sampler
from edge.llama.stream import TokenStream
from edgewise.types import Completion, FinishReason, Options, Scores, Timings, Tokens

if TYPE_CHECKING:
    from collections.abc import Generator

    from edge.llama.grammars.grammar import Grammar
    from edge.llama.native import Tokens as TokenArray

_SCORED_AT_ONCE = 32
"""Tokens whose logits are wanted in one evaluation: 200 kB each, for a vocabulary of 49,000."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes an answer. `surprising` are the tokens of the prompt whose surprisal is wanted; none, if it is empty."""

    native: Native
    gauge: Gauge
    info: EngineInfo
    options: Options
    grammar: Grammar | None
    surprising: slice
    adapter: str

    def __call__(self, job: Job) -> Steps:
        started = time.monotonic()
        surprisal, at = None, job.cached
        if self.surprising.start < self.surprising.stop:
            surprisal = yield from self._surprisal(job)
            at = self.surprising.stop - 1
        found = yield Need(job.prompt[at:])
        evaluated = time.monotonic()
        drawn, finish_reason = yield from self._write(job, found)
        prompt_tokens, parameters = len(job.prompt), self.info.parameters
        job.put(
            Completion(
                finish_reason=finish_reason,
                tokens=Tokens(prompt_tokens=prompt_tokens, completion_tokens=drawn, cached_tokens=job.cached),
                timings=Timings(
                    queue_s=job.queue_s, prompt_s=evaluated - started, decode_s=time.monotonic() - evaluated
                ),
                model=self.info.model,
                model_hash=self.info.model_hash,
                flops=None if parameters is None else 2.0 * parameters * (prompt_tokens - job.cached + drawn),
                adapter=self.adapter,
                prompt_surprisal=surprisal,
            )
        )

    def _write(self, job: Job, found: Found) -> Generator[Need, Found, tuple[int, FinishReason]]:
        import numpy as np

        sampling, words = self.options.sampling, self.native.vocabulary
        stream = TokenStream(sampling.stop)
        drawn = 0
        finish_reason: FinishReason = "length"
        with Sampler(self.native, sampling, self.grammar.start() if self.grammar else None) as sampler:
            while True:
                row = found.rows[-1]
                confidence = self.gauge.read(row)
                token = sampler.draw(row, found.index, confidence.top)
                if words.ends(token):
                    finish_reason = "stop"
                    break
                drawn += 1
                logprob = min(0.0, float(row[token]) - confidence.log_total)
                if chunk := stream.push(words.piece(token), logprob, confidence.entropy, confidence.margin):
                    job.put(chunk)
                if stream.stopped or sampler.is_finished:
                    finish_reason = "stop"
                    break
                if drawn == sampling.max_tokens:
                    break
                found = yield Need(np.array([token], np.int32))
        if rest := stream.finish():
            job.put(rest)
        return drawn, finish_reason

    def _surprisal(self, job: Job) -> Generator[Need, Found, float]:
        """The mean over these tokens; leaves the sequence one token before their end."""
        at = max(0, self.surprising.start - 2)  # two before them, so that not even one is evaluated alone
        if at - job.cached > 1:
            yield Need(job.prompt[job.cached : at])
        else:
            at = job.cached
        logprobs = yield from _logprobs(self.gauge, job.prompt[at : self.surprising.stop])
        del logprobs[: self.surprising.start - 1 - at]
        return -sum(logprobs) / len(logprobs)


@dataclass(frozen=True, slots=True)
class Grader:
    """Scores continuations. The prompt is evaluated once; the first token of each continuation costs nothing more, and
    the others are evaluated together."""

    gauge: Gauge
    info: EngineInfo
    continuations: Sequence[TokenArray]

    def __call__(self, job: Job) -> Steps:
        found = yield Need(job.prompt[job.cached :])
        first = found.rows[-1].copy()
        total = self.gauge.read(first).log_total
        scores = [min(0.0, float(first[continuation[0]]) - total) for continuation in self.continuations]
        left = [number for number, continuation in enumerate(self.continuations) if len(continuation) > 1]
        while left:
            done = yield from self._score_some(job, scores, left)
            del left[:done]
        length, scored = len(job.prompt), sum(map(len, self.continuations))
        parameters = self.info.parameters
        job.put(
            Scores(
                logprobs=tuple(scores),
                tokens=Tokens(prompt_tokens=length + scored, cached_tokens=job.cached),
                flops=None if parameters is None else 2.0 * parameters * (length - job.cached + scored),
            )
        )

    def _score_some(self, job: Job, scores: list[float], left: list[int]) -> Generator[Need | Branches, Found, int]:
        """Adds the logprobs of the later tokens of some of those that are left; how many they were."""
        first, length = self.continuations[left[0]], len(job.prompt)
        if len(first) > _SCORED_AT_ONCE:
            scores[left[0]] += sum((yield from _logprobs(self.gauge, first, keep=length)))
            return 1
        short = list(takewhile(lambda number: len(self.continuations[number]) <= _SCORED_AT_ONCE, left))
        found = yield Branches([self.continuations[number][:-1] for number in short], keep=length)
        row = 0
        for number in short[: found.branches]:
            following = self.continuations[number][1:]
            scores[number] += sum(self.gauge.logprobs(found.rows[row : row + len(following)], following))
            row += len(following)
        return found.branches


def _logprobs(gauge: Gauge, tokens: TokenArray, keep: int | None = None) -> Generator[Need, Found, list[float]]:
    """Of all tokens but the first, each after those before it."""
    logprobs: list[float] = []
    for start, stop in _pieces(len(tokens) - 1):
        found = yield Need(tokens[start:stop], "every", keep)
        logprobs += gauge.logprobs(found.rows, tokens[start + 1 : stop + 1])
        keep = None
    return logprobs


def _pieces(length: int) -> Iterator[tuple[int, int]]:
    """None of one token, if that can be (see prefixes.Slot)."""
    start = 0
    while start < length:
        stop = min(length, start + _SCORED_AT_ONCE)
        if length - stop == 1:
            stop -= 1
        yield start, stop
        start = stop
