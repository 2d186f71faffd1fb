import asyncio
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edge import minilm, models
from edge.embedder import Embedder
from edgewise.errors import InvalidInput, NotReady

SENTENCES = (
    "How long is the guarantee on the pump?",
    "The warranty of the pump ends after 24 months.",
    "Bananas are yellow when they are ripe.",
    "Le chat dort sur la table de la cuisine.",
    "我今天很高兴，因为天气很好。",
)


def test_vectors_are_normalised_and_mean_something(embedder: Embedder) -> None:
    vectors = asyncio.run(embedder.embed(SENTENCES))
    assert vectors.shape == (5, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    similar, other = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert similar > other + 0.2
    assert asyncio.run(embedder.embed(())).shape == (0, 384)


def test_eight_bits_stay_close_to_the_float_graph(embedder: Embedder) -> None:
    graph = minilm.graph(models.MINILM.directory / "model.safetensors")
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    for sentence, vector in zip(SENTENCES, asyncio.run(embedder.embed(SENTENCES)), strict=True):
        encoding = embedder._tokenizer.encode(sentence)
        ids, padding = encoding.ids, [0] * 7
        inputs = {
            "input_ids": np.array([ids + padding]),
            "attention_mask": np.array([[1] * len(ids) + padding]),
        }
        (exact,) = session.run(None, inputs)[0]
        assert vector @ exact >= 0.98


def test_a_text_over_the_window_is_refused(embedder: Embedder) -> None:
    fits = "word " * (embedder.max_tokens - 2)
    assert embedder.count_tokens(fits) == embedder.max_tokens
    asyncio.run(embedder.embed((fits,)))
    with pytest.raises(InvalidInput, match="257 tokens does not fit the embedder's 256"):
        asyncio.run(embedder.embed(("short", fits + "more")))
    with pytest.raises(InvalidInput, match="surrogate"):
        asyncio.run(embedder.embed(("\ud800",)))


def test_the_graph_is_built_once_and_the_same_each_time(embedder: Embedder, tmp_path: Path) -> None:
    for file in models.MINILM.files:
        shutil.copyfile(models.MINILM.directory / file.name, tmp_path / file.name)
    built = minilm.build(tmp_path)
    assert models.sha256(built) == embedder.model_hash
    made = built.stat().st_mtime_ns
    assert minilm.build(tmp_path).stat().st_mtime_ns == made
    assert {path.name for path in tmp_path.iterdir()} == {built.name, "model.safetensors", "tokenizer.json"}

    built.write_bytes(b"damaged" * 100)
    with pytest.raises(NotReady, match="delete it"):
        Embedder.open(tmp_path)


def test_missing_or_foreign_weights(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="No such file"):
        Embedder.open(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(NotReady, match="does not hold the weights"):
        Embedder.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_two_queries_at_once(embedder: Embedder) -> None:
    async def main() -> None:
        alone = await embedder.embed(SENTENCES)
        one, two = await asyncio.gather(embedder.embed(SENTENCES), embedder.embed(SENTENCES))
        assert np.array_equal(alone, one)
        assert np.array_equal(alone, two)

    asyncio.run(main())
