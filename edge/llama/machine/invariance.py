"""Does llama.cpp give a token the same logits, to the last bit, whether it is evaluated alone or beside others?

Kernels differ: some sum in another order when there is more than one row. Then answers with a seed are evaluated one by
one, so that the same seed writes the same text whoever else asks.
"""

from __future__ import annotations

from edge.llama.native import Flag, Native, Work

_TOKENS = 4


def is_invariant(native: Native, sequences: int) -> bool:
    """Some small evaluations, of which nothing is left; of several tokens, as one's last bit may be rounded away."""
    import numpy as np

    flag = Flag()
    prompt = np.array([2, 3], np.int32)
    beside = range(min(sequences, native.batch_tokens // 2))
    native.evaluate([Work(sequence, 0, prompt, "none") for sequence in beside], flag)
    together = []
    for position in range(2, 2 + _TOKENS):
        works = [Work(sequence, position, prompt[:1] + 7 * position + sequence, "last") for sequence in beside]
        together.append(native.evaluate(works, flag)[0].copy())
    native.cut(0, 2)
    same = True
    for position, row in enumerate(together, start=2):
        alone = native.evaluate([Work(0, position, prompt[:1] + 7 * position, "last")], flag)
        same = same and bool((alone[0] == row).all())
    for sequence in beside:
        native.cut(sequence, 0)
    return same
