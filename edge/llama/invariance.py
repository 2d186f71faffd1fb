"""Does llama.cpp give a token the same logits, to the last bit, whether it is evaluated alone or beside others?

Kernels differ: some sum in another order when there is more than one row. Then answers with a seed are evaluated one by
one, so that the same seed writes the same text whoever else asks.
"""

from __future__ import annotations

from edge.llama.native import Flag, Native, Work


def is_invariant(native: Native, sequences: int) -> bool:
    """Two or three small evaluations, of which nothing is left."""
    import numpy as np

    flag = Flag()
    prompt = np.array([2, 3], np.int32)
    beside = range(min(sequences, native.batch_tokens // 2))
    native.evaluate([Work(sequence, 0, prompt, "none") for sequence in beside], flag)
    steps = [Work(sequence, 2, prompt[:1] + sequence, "last") for sequence in beside]
    together = native.evaluate(steps, flag).copy()
    native.cut(0, 2)
    alone = native.evaluate(steps[:1], flag)
    same = bool((alone[0] == together[0]).all())
    for sequence in beside:
        native.cut(sequence, 0)
    return same
