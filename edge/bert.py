"""BERT (Devlin et al. 2019) as an ONNX graph that makes one vector of a text, from its weights and without torch.

Mean pooling over the real tokens and L2 normalisation (Reimers and Gurevych 2019) are part of the graph. Inputs
`input_ids` and `attention_mask` are int64 [batch, tokens], the output `embedding` is float32 [batch, width].
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import models
from edgewise.errors import NotReady

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

Tokenize = Callable[[str], Sequence[int]]
"""From a text to the ids of its tokens, the two special ones around it included; nothing is cut off."""

Locate = Callable[[str], Sequence[tuple[int, int]]]
"""From a text to the characters of each of those tokens; the special ones have none."""

_OPSET = 17
_IR_VERSION = 8
_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Shape:
    layers: int
    heads: int
    width: int


@dataclass(frozen=True, slots=True)
class Spec:
    """One sentence embedder: what there is to know of it, and how its files become a graph and a tokenizer."""

    max_tokens: int
    """The longest text in tokens, prefix and special tokens included."""
    dimension: int
    query_prefix: str
    passage_prefix: str
    latin_only: bool
    """It was trained on languages in Latin script, and makes noise of others."""
    build: Callable[[Path], Path]
    """The graph of the files in a directory, built there once. NotReady if they are missing or are something else."""
    tokenizer: Callable[[Path], Tokenize]
    """The tokenizer of the files in a directory; NotReady likewise."""
    locator: Callable[[Path], Locate] | None = None
    word_layer: int = 0
    """The layer whose vectors of tokens say most of the words there, where they can be located."""


def build(weights: Path, version: int, make: Callable[[Path, Path], None]) -> Path:
    """The graph that `make(weights, target)` writes, made once and kept beside the weights.

    The name has the hash of the weights and the builder's version, so neither can change unnoticed.
    """
    directory = weights.parent
    try:
        digest = models.sha256(weights)
        models.check_hash(weights, digest)
        key = hashlib.sha256(f"{digest} {version}".encode()).hexdigest()[:16]
        target = directory / f"int8-{key}.onnx"
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix=".build-", dir=directory) as folder:
                built = Path(folder) / target.name
                make(weights, built)
                built.replace(target)
    except OSError as error:
        raise NotReady(f"the sentence embedder cannot be built in {directory}: {error}") from error
    return target


def quantise(model: Any, target: Path, operators: Sequence[str]) -> None:
    """Write `model` with 8 bit weights. A scale per channel keeps a cosine of 0.99 to float32; per tensor it breaks."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(model, target, op_types_to_quantize=list(operators), per_channel=True, weight_type=QuantType.QInt8)


class Graph:
    """Collects nodes and constants; every method returns the name of the value that it adds."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.constants: list[Any] = []
        self._known: dict[str, str] = {}

    def input(self, name: str, kind: int, shape: Sequence[int | str]) -> str:
        from onnx import helper

        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"n_{name}", **attributes))
        return name

    def number(self, value: float) -> str:
        import numpy as np

        return self.constant(f"float_{value!r}", np.asarray(value, dtype=np.float32))

    def integers(self, *values: int) -> str:
        import numpy as np

        return self.constant(f"int_{'_'.join(map(str, values))}", np.asarray(values, dtype=np.int64))

    def constant(self, name: str, value: Array) -> str:
        from onnx import numpy_helper

        if name not in self._known:
            self._known[name] = name
            # `copy` and not `ascontiguousarray`, which makes a vector of a scalar.
            self.constants.append(numpy_helper.from_array(value.copy(order="C"), name))
        return name


def graph(name: str, weights: dict[str, Array], shape: Shape, words: Callable[[Graph], str]) -> Any:
    """The float32 graph as an onnx.ModelProto; `words` adds the nodes that look the vectors of `input_ids` up.

    `weights` have the names of Hugging Face's BERT. KeyError if one is missing.
    """
    from onnx import TensorProto, helper

    bert = _Bert(weights, shape, words)
    for each in ("input_ids", "attention_mask"):
        bert.input(each, TensorProto.INT64, ("batch", "tokens"))
    output = bert.forward()
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", shape.width])]
    body = helper.make_graph(bert.nodes, name, bert.inputs, outputs, bert.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="edgewise")
    model.ir_version = _IR_VERSION
    # The quantiser's advice to run its own optimiser first does not hold here: the graph is minimal already.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    return model


class _Bert(Graph):
    def __init__(self, weights: dict[str, Array], shape: Shape, words: Callable[[Graph], str]) -> None:
        super().__init__()
        self._weights = weights
        self._shape = shape
        self._words = words

    def forward(self) -> str:
        hidden = self._embed()
        mask = self.node("Cast", "attention_mask", to=1)
        bias = self._attention_bias(mask)
        for layer in range(self._shape.layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, bias)
        return self._pool(hidden, mask)

    def _embed(self) -> str:
        """Words + positions + the one token type that a single sentence has."""
        words = self._words(self)
        positions = self._weights["embeddings.position_embeddings.weight"]
        kinds = self._weights["embeddings.token_type_embeddings.weight"]
        table = self.constant("positions", positions + kinds[0])
        length = self.node("Gather", self.node("Shape", "input_ids"), self.integers(1))
        places = self.node("Slice", table, self.integers(0), length, self.integers(0))
        return self._normalise("embeddings.LayerNorm", self.node("Add", words, places))

    def _attention_bias(self, mask: str) -> str:
        """0 for a real token, -10000 for padding; [batch, 1, 1, tokens]."""
        wide = self.node("Unsqueeze", mask, self.integers(1, 2))
        hidden = self.node("Sub", self.number(1.0), wide)
        return self.node("Mul", hidden, self.number(-10000.0))

    def _layer(self, name: str, hidden: str, bias: str) -> str:
        attended = self._attend(f"{name}.attention.self", hidden, bias)
        projected = self._linear(f"{name}.attention.output.dense", attended)
        hidden = self._normalise(f"{name}.attention.output.LayerNorm", self.node("Add", projected, hidden))
        inner = self._gelu(self._linear(f"{name}.intermediate.dense", hidden))
        outer = self._linear(f"{name}.output.dense", inner)
        return self._normalise(f"{name}.output.LayerNorm", self.node("Add", outer, hidden))

    def _attend(self, name: str, hidden: str, bias: str) -> str:
        heads, width = self._shape.heads, self._shape.width
        split = self.integers(0, 0, heads, width // heads)
        query, key, value = (
            self.node("Reshape", self._linear(f"{name}.{part}", hidden), split) for part in ("query", "key", "value")
        )
        query = self.node("Transpose", query, perm=[0, 2, 1, 3])
        key = self.node("Transpose", key, perm=[0, 2, 3, 1])
        value = self.node("Transpose", value, perm=[0, 2, 1, 3])
        scores = self.node("Div", self.node("MatMul", query, key), self.number((width / heads) ** 0.5))
        shares = self.node("Softmax", self.node("Add", scores, bias), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self.node("Reshape", mixed, self.integers(0, 0, width))

    def _pool(self, hidden: str, mask: str) -> str:
        weights = self.node("Unsqueeze", mask, self.integers(-1))
        total = self.node("ReduceSum", self.node("Mul", hidden, weights), self.integers(1), keepdims=0)
        mean = self.node("Div", total, self.node("ReduceSum", weights, self.integers(1), keepdims=0))
        norm = self.node("ReduceL2", mean, axes=[-1], keepdims=1)
        safe = self.node("Max", norm, self.number(_EPSILON))
        return self.node("Div", mean, safe, output="embedding")

    def _linear(self, name: str, value: str) -> str:
        weight = self.constant(f"{name}.weight", self._weights[f"{name}.weight"].T)
        return self.node("Add", self.node("MatMul", value, weight), self._weight(f"{name}.bias"))

    def _normalise(self, name: str, value: str) -> str:
        scale, shift = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self.node("LayerNormalization", value, scale, shift, axis=-1, epsilon=_EPSILON)

    def _gelu(self, value: str) -> str:
        """The exact form, x/2 (1 + erf(x / sqrt 2))."""
        error = self.node("Erf", self.node("Div", value, self.number(2.0**0.5)))
        gate = self.node("Add", error, self.number(1.0))
        return self.node("Mul", self.node("Mul", value, gate), self.number(0.5))

    def _weight(self, name: str) -> str:
        return self.constant(name, self._weights[name])


def with_words(graph: Path, layer: int) -> bytes:
    """A graph that `build` made, with the vectors of tokens after a layer as a second output, `words`.

    Float32 [batch, tokens, width]. The file stays as it is, and so does the hash that the vectors of texts go by.
    """
    import onnx

    model = onnx.load(graph)
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    # One after the words' table, then two a layer.
    model.graph.node.append(onnx.helper.make_node("Identity", [norms[2 * layer].output[0]], ["words"]))
    kind = onnx.TensorProto.FLOAT
    model.graph.output.append(onnx.helper.make_tensor_value_info("words", kind, ["batch", "tokens", None]))
    return bytes(model.SerializeToString())
