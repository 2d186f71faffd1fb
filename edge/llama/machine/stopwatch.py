"""Times llama.cpp on one model with several settings; only in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from edge.llama import native
from edge.llama.machine.calibration import Measured, Speeds, Tuning
from edgewise.errors import NotReady

PROMPT_TOKENS = 512
SEQUENCES = 4
"""How many answers are generated at once when several are."""
_STEPS = 16
_ROUNDS = 5
_PATIENCE_S = 30.0
"""Settings that take longer to compare get fewer rounds."""


class Stopwatch:
    """Holds the model, whose weights all settings share."""

    def __init__(self, path: Path, progress: Callable[[int], None]) -> None:
        self._llama = llama = native.start().llama
        self._model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        if not self._model:
            raise NotReady(f"llama.cpp cannot load {path}")
        self._batch = llama.llama_batch_init(PROMPT_TOKENS, 0, 1)
        self._progress = progress
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._llama.llama_batch_free(self._batch)
        self._llama.llama_model_free(self._model)

    def rounds(self, tunings: Sequence[Tuning]) -> tuple[Measured, ...]:
        """Every setting once a round, after a chunk that does not count: threads and caches have to warm up."""
        with ExitStack() as stack:
            contexts = [self._context(tuning, stack) for tuning in tunings]
            for context, tuning in zip(contexts, tunings, strict=True):
                self._decode(context, [(0, position) for position in range(tuning.chunk_tokens)])
            began = time.monotonic()
            rounds = []
            for done in range(_ROUNDS):
                if done and (time.monotonic() - began) * (done + 1) / done > _PATIENCE_S:
                    break
                pairs = zip(contexts, tunings, strict=True)
                rounds.append([self._speeds(context, tuning.chunk_tokens) for context, tuning in pairs])
                self._done += 1
                self._progress(self._done)
        return tuple(Measured(tuning, tuple(one[index] for one in rounds)) for index, tuning in enumerate(tunings))

    def _context(self, tuning: Tuning, stack: ExitStack) -> Any:
        llama = self._llama
        params = llama.llama_context_default_params()
        params.n_ctx = 2 * PROMPT_TOKENS * SEQUENCES
        params.n_seq_max = SEQUENCES
        params.kv_unified = False
        params.n_batch = params.n_ubatch = tuning.chunk_tokens
        params.n_threads, params.n_threads_batch = tuning.threads, tuning.prompt_threads
        params.flash_attn_type = (
            llama.LLAMA_FLASH_ATTN_TYPE_ENABLED if tuning.flash_attention else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        context = llama.llama_init_from_model(self._model, params)
        if not context:
            raise NotReady("llama.cpp cannot make a context; is there enough memory?")
        stack.callback(llama.llama_free, context)
        return context

    def _speeds(self, context: Any, chunk_tokens: int) -> Speeds:
        prompt_s = self._prompt(context, chunk_tokens)
        memory = self._llama.llama_get_memory(context)
        for sequence in range(1, SEQUENCES):
            self._llama.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
        several_s = self._generate(context, SEQUENCES, PROMPT_TOKENS)
        single_s = self._generate(context, 1, PROMPT_TOKENS + _STEPS)
        return Speeds(prompt=PROMPT_TOKENS / prompt_s, single=_STEPS / single_s, several=_STEPS * SEQUENCES / several_s)

    def _prompt(self, context: Any, chunk_tokens: int) -> float:
        self._llama.llama_memory_clear(self._llama.llama_get_memory(context), False)
        began = time.perf_counter()
        for start in range(0, PROMPT_TOKENS, chunk_tokens):
            self._decode(context, [(0, position) for position in range(start, start + chunk_tokens)])
        return time.perf_counter() - began

    def _generate(self, context: Any, sequences: int, start: int) -> float:
        began = time.perf_counter()
        for position in range(start, start + _STEPS):
            self._decode(context, [(sequence, position) for sequence in range(sequences)], every=True)
        return time.perf_counter() - began

    def _decode(self, context: Any, places: Sequence[tuple[int, int]], every: bool = False) -> None:
        """One token in each place (sequence, position); which one does not matter to the time."""
        batch, words = self._batch, self._llama.llama_vocab_n_tokens(self._llama.llama_model_get_vocab(self._model))
        batch.n_tokens = len(places)
        for row, (sequence, position) in enumerate(places):
            batch.token[row] = 100 + 7 * position % (words - 100)
            batch.pos[row] = position
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = sequence
            batch.logits[row] = every or row == len(places) - 1
        if self._llama.llama_decode(context, batch) != 0:
            raise NotReady("llama.cpp cannot run this model")
        self._llama.llama_synchronize(context)
