"""Two costs below the engine: what confidence adds to a token, and how long a saved prefix takes to come back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge import models
from tests.bench.engine import figures
from tests.bench.engine.plan import Found, Probes

if TYPE_CHECKING:
    from edge.llama.native import Logits, Native

_BEGINNING = 32


def probe(task: Probes) -> list[Found]:
    from edge.llama.machine import calibration
    from edge.llama.native import Native

    setup, path = task.setup, Path(task.setup.model)
    tuning = calibration.tuning(models.sha256(path), setup.threads, task.flash_attention)
    native = Native(path, setup.context_tokens, setup.parallel, tuning)
    try:
        return [*_confidence(native, task), *_restore(native, task)]
    finally:
        native.close()


def _confidence(native: Native, task: Probes) -> list[Found]:
    """A step is an evaluation and the choice of the likeliest token of each sequence. Every second step also reads
    log-probability, entropy and margin; the overhead is what that adds to the median step."""
    from edge.llama.sampling import Gauge

    gauge, overheads = Gauge(native.vocabulary.size), {}
    for streams in (1, task.setup.parallel):
        rows = _start(native, streams)
        plain: list[float] = []
        read: list[float] = []
        for step in range(2 * task.repeats.answers * 8):
            started = time.perf_counter()
            tokens = [gauge.read(row).top for row in rows] if step % 2 else [int(row.argmax()) for row in rows]
            rows = _append(native, [[token] for token in tokens], _BEGINNING + step)
            (read if step % 2 else plain).append(time.perf_counter() - started)
        overheads[streams] = figures.median(read) / figures.median(plain) - 1
    alone, together = overheads[1], overheads[task.setup.parallel]
    note = f"the worse of {alone:.4f} with one sequence and {together:.4f} with {task.setup.parallel}"
    return [Found(name="logprob_overhead", value=max(alone, together), note=note)]


def _restore(native: Native, task: Probes) -> list[Found]:
    """How long a sequence takes to become a prefix again that was evaluated, saved and lost."""
    length = task.repeats.prefix_tokens
    for sequence in range(task.setup.parallel):
        native.cut(sequence, 0)
    for start in range(0, length, native.batch_tokens):
        _append(native, [[start % 100 + 1000] * min(native.batch_tokens, length - start)], start)
    saving, restoring = [], []
    for _ in range(2 + task.repeats.prefix):
        started = time.perf_counter()
        state = native.save(0)
        saved = time.perf_counter()
        native.cut(0, 0)
        again = time.perf_counter()
        restored = native.restore(0, state)
        restoring.append(1000 * (time.perf_counter() - again))
        saving.append(1000 * (saved - started))
        if not restored:
            return [Found(name="kv_restore_ms", value=None, note="llama.cpp refuses to restore what it has saved")]
    return [
        Found(name="kv_restore_ms", value=figures.median(restoring[2:]), note=f"{state.nbytes / 1e6:.1f} MB"),
        Found(name="kv_save_ms", value=figures.median(saving[2:])),
    ]


def _start(native: Native, sequences: int) -> Logits:
    for sequence in range(sequences):
        native.cut(sequence, 0)
    rows = None
    for position in range(_BEGINNING):
        rows = _append(native, [[1000 + position]] * sequences, position)
    assert rows is not None
    return rows


def _append(native: Native, tokens: list[list[int]], position: int) -> Logits:
    """The logits after the last token of each sequence."""
    import numpy as np

    from edge.llama.native import Flag, Work

    works = [Work(sequence, position, np.array(some, np.int32), "last") for sequence, some in enumerate(tokens)]
    return native.evaluate(works, Flag())
