"""From logits to a token, and what the logits say about how sure the model is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from edge.llama import kernels
from edge.llama.kernels import RawConfidence
from edgewise.types import Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.llama.grammars.grammar import Constraint
    from edge.llama.native import Logits, Native

_PENALTY_WINDOW = 64


@dataclass(frozen=True, slots=True)
class Confidence:
    """Of one row of logits: the likeliest token, the entropy in nats, and by how many nats the likeliest leads."""

    top: int
    entropy: float
    margin: float
    log_total: float
    """The logarithm of the sum of all exponentials: a token's log-probability is its logit less this."""


class Gauge:
    """Reads rows of logits without a Python list of the vocabulary; for one thread."""

    def __init__(self, vocabulary_size: int) -> None:
        self._read = kernels.confidence() or _ByNumpy(vocabulary_size)

    def read(self, row: Logits) -> Confidence:
        found = self._read(row)
        log_total = math.log(found.total)
        entropy = max(0.0, log_total - found.expected / found.total)
        return Confidence(found.top, entropy, found.peak - found.second, found.peak + log_total)

    def logprobs(self, rows: Logits, tokens: NDArray[np.int32]) -> list[float]:
        """The natural-log probability of one token a row."""
        return [min(0.0, float(row[token]) - self.read(row).log_total) for row, token in zip(rows, tokens, strict=True)]


class _ByNumpy:
    """The same as `kernels.confidence`, in three times the time."""

    def __init__(self, vocabulary_size: int) -> None:
        import numpy as np

        self._shifted = np.empty(vocabulary_size, np.float32)
        self._weights = np.empty(vocabulary_size, np.float32)
        self._ones = np.ones(vocabulary_size, np.float32)

    def __call__(self, row: Logits) -> RawConfidence:
        import numpy as np

        top = int(row.argmax())
        peak = float(row[top])
        np.subtract(row, peak, out=self._shifted)
        np.exp(self._shifted, out=self._weights)
        row[top] = -np.inf
        second = float(row.max())
        row[top] = peak
        total, expected = float(self._weights @ self._ones), float(self._weights @ self._shifted)
        return RawConfidence(top, peak, second, total, expected)


class Sampler:
    """Draws from the logits of the last evaluation; use it in a `with` block.

    Temperature, top-k, top-p, min-p and the penalty, which looks at the last 64 tokens drawn, are llama.cpp's own; the
    likeliest token needs none of them.
    """

    def __init__(self, native: Native, sampling: Sampling, constraint: Constraint | None = None) -> None:
        from llama_cpp import llama_cpp as llama

        self._llama = llama
        self._context = native.sampler_context()
        self._constraint = constraint
        self._is_greedy = sampling.temperature == 0.0 and sampling.repeat_penalty == 1.0
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        size = native.vocabulary.size
        if sampling.repeat_penalty != 1.0:
            self._add(llama.llama_sampler_init_penalties(size, _PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0))
        if sampling.temperature == 0.0:
            self._add(llama.llama_sampler_init_greedy())
            return
        if sampling.top_k:
            self._add(llama.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1.0:
            self._add(llama.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p:
            self._add(llama.llama_sampler_init_min_p(sampling.min_p, 1))
        self._add(llama.llama_sampler_init_temp(sampling.temperature))
        seed = llama.LLAMA_DEFAULT_SEED if sampling.seed is None else sampling.seed
        self._add(llama.llama_sampler_init_dist(seed))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._llama.llama_sampler_free(self._chain)

    @property
    def is_finished(self) -> bool:
        """The grammar allows nothing more."""
        return self._constraint is not None and self._constraint.is_finished

    def draw(self, row: Logits, index: int, likeliest: int) -> int:
        """A token of this row, which belongs to token `index` of the evaluation; a grammar changes the row."""
        if self._constraint is not None:
            self._constraint.mask(row)
            likeliest = int(row.argmax())
        if self._is_greedy:
            token = likeliest
        else:
            token = int(self._llama.llama_sampler_sample(self._chain, self._context, index))
        if self._constraint is not None:
            self._constraint.accept(token)
        return token

    def _add(self, sampler: Any) -> None:
        self._llama.llama_sampler_chain_add(self._chain, sampler)
