"""Does llama.cpp give a token the same logits, to the last bit, whether it is evaluated alone or beside others?

Kernels differ: some sum in another order when there is more than one row. Then answers with a seed are evaluated one by
one, so that the same seed writes the same text whoever else asks.
"""

from __future__ import annotations

from edge.llama.native import Flag, Native, Work


def is_invariant(native: Native, sequences: int) -> bool:
    """Three small evaluations, of which nothing is left."""
    import numpy as np

    tokens = np.arange(2, 6, dtype=np.int32) % native.vocabulary.size
    beside, flag = range(sequences), Flag()
    for sequence in beside:
        native.evaluate([Work(sequence, 0, tokens, "none")], flag)
    together = native.evaluate([Work(sequence, 4, tokens[:1] + sequence, "last") for sequence in beside], flag).copy()
    same = True
    for sequence in beside:
        native.cut(sequence, 4)
        alone = native.evaluate([Work(sequence, 4, tokens[:1] + sequence, "last")], flag)
        same = same and bool((alone[0] == together[sequence]).all())
        native.cut(sequence, 0)
    return same
