"""The vectors of all passages in memory, and an exact search over them.

They are kept in float16, in half the memory of float32. Exact means that every vector is looked at; ONNX Runtime
multiplies, since numpy has no fast float16.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    Vectors = NDArray[np.floating[Any]]

_BLOCK = 1024  # rows at a time: their float32 form stays in the processor's cache
_GROWTH = 1.5


class Index:
    """Rows of (passage number, document, vector). Not for several threads at once."""

    def __init__(self, dimension: int) -> None:
        self._scan = _scanner(dimension)
        self._used = 0
        self._vectors = np.empty((0, dimension), np.float16)
        self._numbers = np.empty(0, np.int64)
        self._owners = np.empty(0, np.int32)
        self._documents: dict[str, int] = {}

    def __len__(self) -> int:
        """How many passages there are."""
        return self._used

    def reserve(self, rows: int) -> None:
        """Make room for so many more rows at once."""
        needed = self._used + rows
        if needed > len(self._numbers):
            for name in ("_vectors", "_numbers", "_owners"):
                old = getattr(self, name)
                new = np.empty((needed, *old.shape[1:]), old.dtype)
                new[: self._used] = old[: self._used]
                setattr(self, name, new)

    def add(self, documents: Sequence[str], numbers: Sequence[int], vectors: Vectors) -> None:
        """Some passages, and the document of each; `vectors` is [passages, dimension], L2-normalised."""
        start, end = self._used, self._used + len(numbers)
        if end > len(self._numbers):
            self.reserve(max(len(numbers), int(self._used * (_GROWTH - 1))))
        self._vectors[start:end] = vectors
        self._numbers[start:end] = numbers
        self._owners[start:end] = [self._documents.setdefault(one, len(self._documents)) for one in documents]
        self._used = end

    def remove(self, documents: Collection[str]) -> None:
        """Forget the passages of some documents."""
        gone = [self._documents[document] for document in documents if document in self._documents]
        if not gone:
            return
        empty = np.flatnonzero(np.isin(self._owners[: self._used], gone))
        used = self._used - len(empty)
        # The last rows fill the gaps: the order does not matter, and little is copied.
        last = np.setdiff1d(np.arange(used, self._used), empty)
        for array in (self._vectors, self._numbers, self._owners):
            array[empty[empty < used]] = array[last]
        self._used = used

    def nearest(self, vector: Vectors, k: int, documents: Collection[str] | None = None) -> list[tuple[int, float]]:
        """The k passages nearest by cosine to an L2-normalised vector, best first, as (number, cosine).

        `documents` narrows it to theirs.
        """
        cosines = self.cosines(vector)
        if documents is not None:
            allowed = [self._documents[document] for document in documents if document in self._documents]
            cosines[~np.isin(self._owners[: self._used], allowed)] = -np.inf
        k = min(k, len(cosines))
        if not k:
            return []
        best = np.argpartition(-cosines, k - 1)[:k]
        best = best[np.argsort(-cosines[best], kind="stable")]
        return [(int(self._numbers[row]), float(cosines[row])) for row in best if np.isfinite(cosines[row])]

    def cosines(self, vector: Vectors) -> NDArray[np.float32]:
        """Of every row, in order."""
        query = np.asarray(vector, np.float32)[:, None]
        cosines = np.empty(self._used, np.float32)
        for start in range(0, self._used, _BLOCK):
            end = min(start + _BLOCK, self._used)
            cosines[start:end] = self._scan(self._vectors[start:end], query)
        return cosines

    def cosine_of(self, numbers: Sequence[int], vector: Vectors) -> dict[int, float]:
        """The cosines of some passages."""
        rows = np.flatnonzero(np.isin(self._numbers[: self._used], numbers))
        values = self._vectors[rows].astype(np.float32) @ np.asarray(vector, np.float32)
        return dict(zip(self._numbers[rows].tolist(), values.tolist(), strict=True))


def _scanner(dimension: int) -> Any:
    """A function of float16 [rows, dimension] and float32 [dimension, 1] that gives their products, [rows]."""
    import onnxruntime
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["rows"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["wide", "query"], ["cosines"]),
        ],
        "scan",
        [
            helper.make_tensor_value_info("rows", TensorProto.FLOAT16, ["rows", dimension]),
            helper.make_tensor_value_info("query", TensorProto.FLOAT, [dimension, 1]),
        ],
        [helper.make_tensor_value_info("cosines", TensorProto.FLOAT, ["rows", 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda rows, query: session.run(None, {"rows": rows, "query": query})[0][:, 0]
