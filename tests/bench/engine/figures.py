"""From the times of answers to the figures of a row, and from rows to the summary that the issue names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median as median

from tests.bench.engine.plan import Answer, Measured


def percentile(samples: Sequence[float], share: float) -> float:
    """By the nearest rank, so that it is always one of the samples."""
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


class Unanswered(Exception):
    """The model ended before its first piece of text."""


def required_ttft(answer: Answer) -> float:
    if answer.ttft_s is None:
        raise Unanswered("the model ended an answer before its first piece of text")
    return answer.ttft_s


def token_s(answer: Answer) -> float | None:
    """Seconds a token after the first; None if there are too few to say."""
    if answer.completion_tokens < 2 or len(answer.arrivals_s) < 2:
        return None
    return (answer.arrivals_s[-1] - answer.arrivals_s[0]) / (answer.completion_tokens - 1)


def of(measured: Measured) -> dict[str, float | None]:
    """The figures of one contender, workload, number of streams and round."""
    answers = measured.answers
    ttfts = [answer.ttft_s for answer in answers if answer.ttft_s is not None]
    gaps = [
        later - earlier
        for answer in answers
        for earlier, later in zip(answer.arrivals_s, answer.arrivals_s[1:], strict=False)
    ]
    alone = measured.streams == 1
    prompts = [answer.prompt_tokens / answer.ttft_s for answer in answers if answer.prompt_tokens and answer.ttft_s]
    tokens = [1 / seconds for answer in answers if (seconds := token_s(answer))]
    cached = [answer.cached_tokens for answer in answers if answer.cached_tokens is not None]
    memory = measured.memory
    return {
        "tokens_per_s": sum(answer.completion_tokens for answer in answers) / measured.wall_s,
        "ttft_p50_s": percentile(ttfts, 0.5) if ttfts else None,
        "ttft_p95_s": percentile(ttfts, 0.95) if ttfts else None,
        "inter_token_p95_s": percentile(gaps, 0.95) if gaps else None,
        "prompt_tokens_per_s": median(prompts) if alone and prompts else None,
        "generated_tokens_per_s": median(tokens) if alone and tokens else None,
        "prompt_tokens": float(sum(answer.prompt_tokens or 0 for answer in answers)),
        "completion_tokens": float(sum(answer.completion_tokens for answer in answers)),
        "cached_tokens": float(sum(cached)) if cached else None,
        "rss_mb": memory.rss_mb if memory else None,
        "pss_mb": memory.pss_mb if memory else None,
        "peak_mb": memory.peak_mb if memory else None,
        "joules_per_answer": None if measured.joules is None else measured.joules / len(answers),
    }


def middle(samples: Sequence[float | None]) -> float | None:
    """The median of what is known; None if nothing is."""
    known = [sample for sample in samples if sample is not None]
    return median(known) if known else None
