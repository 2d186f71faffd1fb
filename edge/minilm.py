"""all-MiniLM-L6-v2: from the weights that its authors publish to a graph and a tokenizer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import bert, models
from edge.bert import Shape, Spec
from edgewise.errors import NotReady

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUILDER_VERSION = 1
SHAPE = Shape(layers=6, heads=12, width=384)
_WORDS = "embeddings.word_embeddings.weight"


def build(directory: Path) -> Path:
    """The quantised graph of the weights in `directory`, built there once; about five seconds."""
    return bert.build(directory / "model.safetensors", BUILDER_VERSION, _make)


def graph(weights: Path) -> Any:
    """The float32 graph as an onnx.ModelProto. NotReady if the file does not hold the weights of MiniLM-L6."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        named = load_file(weights)
        return bert.graph(
            "minilm",
            named,
            SHAPE,
            lambda graph: graph.node("Gather", graph.constant(_WORDS, named[_WORDS]), "input_ids"),
        )
    except (SafetensorError, KeyError) as error:
        raise NotReady(f"{weights} does not hold the weights of MiniLM-L6: {error}") from error


def tokenizer(directory: Path) -> bert.Tokenize:
    """WordPiece, from `tokenizer.json`. NotReady if that cannot be read or is not the file of the catalogue."""
    word_pieces = _word_pieces(directory)
    return lambda text: word_pieces.encode(text).ids


def locator(directory: Path) -> bert.Locate:
    """Where the tokens of `tokenizer` stand; NotReady as there."""
    word_pieces = _word_pieces(directory)
    return lambda text: word_pieces.encode(text).offsets


def _word_pieces(directory: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    path = directory / "tokenizer.json"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotReady(f"the embedder's tokenizer {path} cannot be read: {error.strerror}") from error
    models.check_hash(path, hashlib.sha256(content).hexdigest())
    word_pieces = Tokenizer.from_str(content.decode())
    # The file asks for 128 tokens, cut or filled up; here nothing is cut, and one text needs no filling.
    word_pieces.no_truncation()
    word_pieces.no_padding()
    return word_pieces


def _make(weights: Path, target: Path) -> None:
    bert.quantise(graph(weights), target, ("Gather", "MatMul"))


SPEC = Spec(
    max_tokens=256,  # the length that it was trained on
    dimension=SHAPE.width,
    query_prefix="",
    passage_prefix="",
    latin_only=True,
    build=build,
    tokenizer=tokenizer,
    locator=locator,
    word_layer=4,
)
