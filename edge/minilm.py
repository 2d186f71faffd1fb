"""all-MiniLM-L6-v2 as an ONNX graph, built from its weights without torch, then quantised to 8 bit.

The graph is BERT (Devlin et al. 2019) with six layers; mean pooling over the real tokens and L2 normalisation
(Reimers and Gurevych 2019) are part of it. Inputs `input_ids` and `attention_mask` are int64 [batch, tokens], the
output `embedding` is float32 [batch, 384].
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import models
from edgewise.errors import NotReady

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

BUILDER_VERSION = 1
LAYERS, HEADS, WIDTH = 6, 12, 384
_OPSET = 17
_IR_VERSION = 8
_EPSILON = 1e-12


def build(directory: Path) -> Path:
    """The quantised graph of the weights in `directory`, built there once; about five seconds.

    The name has the hash of the weights and of this builder's version, so neither can change unnoticed.
    """
    weights = directory / "model.safetensors"
    try:
        key = hashlib.sha256(f"{models.sha256(weights)} {BUILDER_VERSION}".encode()).hexdigest()[:16]
        target = directory / f"int8-{key}.onnx"
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix=".build-", dir=directory) as folder:
                built = Path(folder) / target.name
                quantise(graph(weights), built)
                built.replace(target)
    except OSError as error:
        raise NotReady(f"the sentence embedder cannot be built in {directory}: {error}") from error
    return target


def quantise(model: Any, target: Path) -> None:
    """Write `model` with 8 bit weights. A scale per channel keeps a cosine of 0.99 to float32; per tensor it breaks."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(model, target, per_channel=True, weight_type=QuantType.QInt8)


def graph(weights: Path) -> Any:
    """The float32 graph as an onnx.ModelProto. NotReady if the file does not hold the weights of MiniLM-L6."""
    from onnx import TensorProto, helper
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        bert = _Bert(load_file(weights))
        output = bert.forward()
    except (SafetensorError, KeyError) as error:
        raise NotReady(f"{weights} does not hold the weights of MiniLM-L6: {error}") from error
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", WIDTH])]
    body = helper.make_graph(bert.nodes, "minilm", inputs, outputs, bert.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="edgewise")
    model.ir_version = _IR_VERSION
    # The quantiser's advice to run its own optimiser first does not hold here: the graph is minimal already.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    return model


class _Bert:
    """Collects nodes and constants; every method returns the name of the value that it adds."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._known: dict[str, str] = {}

    def forward(self) -> str:
        hidden = self._embed()
        mask = self._node("Cast", "attention_mask", to=1)
        bias = self._attention_bias(mask)
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, bias)
        return self._pool(hidden, mask)

    def _embed(self) -> str:
        """Words + positions + the one token type that a single sentence has."""
        words = self._node("Gather", self._weight("embeddings.word_embeddings.weight"), "input_ids")
        positions = self.weights["embeddings.position_embeddings.weight"]
        kinds = self.weights["embeddings.token_type_embeddings.weight"]
        table = self._constant("positions", positions + kinds[0])
        length = self._node("Gather", self._node("Shape", "input_ids"), self._integers(1))
        places = self._node("Slice", table, self._integers(0), length, self._integers(0))
        return self._normalise("embeddings.LayerNorm", self._node("Add", words, places))

    def _attention_bias(self, mask: str) -> str:
        """0 for a real token, -10000 for padding; [batch, 1, 1, tokens]."""
        wide = self._node("Unsqueeze", mask, self._integers(1, 2))
        hidden = self._node("Sub", self._float(1.0), wide)
        return self._node("Mul", hidden, self._float(-10000.0))

    def _layer(self, name: str, hidden: str, bias: str) -> str:
        attended = self._attend(f"{name}.attention.self", hidden, bias)
        projected = self._linear(f"{name}.attention.output.dense", attended)
        hidden = self._normalise(f"{name}.attention.output.LayerNorm", self._node("Add", projected, hidden))
        inner = self._gelu(self._linear(f"{name}.intermediate.dense", hidden))
        outer = self._linear(f"{name}.output.dense", inner)
        return self._normalise(f"{name}.output.LayerNorm", self._node("Add", outer, hidden))

    def _attend(self, name: str, hidden: str, bias: str) -> str:
        split = self._integers(0, 0, HEADS, WIDTH // HEADS)
        query, key, value = (
            self._node("Reshape", self._linear(f"{name}.{part}", hidden), split) for part in ("query", "key", "value")
        )
        query = self._node("Transpose", query, perm=[0, 2, 1, 3])
        key = self._node("Transpose", key, perm=[0, 2, 3, 1])
        value = self._node("Transpose", value, perm=[0, 2, 1, 3])
        scores = self._node("Div", self._node("MatMul", query, key), self._float((WIDTH / HEADS) ** 0.5))
        shares = self._node("Softmax", self._node("Add", scores, bias), axis=-1)
        mixed = self._node("Transpose", self._node("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self._node("Reshape", mixed, self._integers(0, 0, WIDTH))

    def _pool(self, hidden: str, mask: str) -> str:
        weights = self._node("Unsqueeze", mask, self._integers(-1))
        total = self._node("ReduceSum", self._node("Mul", hidden, weights), self._integers(1), keepdims=0)
        mean = self._node("Div", total, self._node("ReduceSum", weights, self._integers(1), keepdims=0))
        norm = self._node("ReduceL2", mean, axes=[-1], keepdims=1)
        safe = self._node("Max", norm, self._float(_EPSILON))
        return self._node("Div", mean, safe, output="embedding")

    def _linear(self, name: str, value: str) -> str:
        weight = self._constant(f"{name}.weight", self.weights[f"{name}.weight"].T)
        return self._node("Add", self._node("MatMul", value, weight), self._weight(f"{name}.bias"))

    def _normalise(self, name: str, value: str) -> str:
        scale, shift = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._node("LayerNormalization", value, scale, shift, axis=-1, epsilon=_EPSILON)

    def _gelu(self, value: str) -> str:
        """The exact form, x/2 (1 + erf(x / sqrt 2))."""
        error = self._node("Erf", self._node("Div", value, self._float(2.0**0.5)))
        gate = self._node("Add", error, self._float(1.0))
        return self._node("Mul", self._node("Mul", value, gate), self._float(0.5))

    def _node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"n_{name}", **attributes))
        return name

    def _weight(self, name: str) -> str:
        return self._constant(name, self.weights[name])

    def _float(self, value: float) -> str:
        import numpy as np

        return self._constant(f"float_{value!r}", np.asarray(value, dtype=np.float32))

    def _integers(self, *values: int) -> str:
        import numpy as np

        return self._constant(f"int_{'_'.join(map(str, values))}", np.asarray(values, dtype=np.int64))

    def _constant(self, name: str, value: Array) -> str:
        from onnx import numpy_helper

        if name not in self._known:
            self._known[name] = name
            # `copy` and not `ascontiguousarray`, which makes a vector of a scalar.
            self.constants.append(numpy_helper.from_array(value.copy(order="C"), name))
        return name
