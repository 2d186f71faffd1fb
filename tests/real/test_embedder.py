import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edge import e5, minilm, models
from edge.config import EdgeSettings
from edge.embedder import EMBEDDERS, Embedder
from edge.node import EdgeNode
from edge.retriever import embed_whole
from edgewise.errors import InvalidInput, NotFound, NotReady
from edgewise.types import Query, Text, Upload

QUESTION = "How long is the guarantee on the pump?"
SENTENCES = (
    QUESTION,
    "The warranty of the pump ends after 24 months.",
    "Bananas are yellow when they are ripe.",
    "Le chat dort sur la table de la cuisine.",
    "我今天很高兴，因为天气很好。",
)
ANSWERS = ("The warranty of the pump ends after 24 months.", "水泵的保修期在24个月后结束。")
OTHERS = ("Bananas are yellow when they are ripe.", "香蕉成熟时是黄色的。")


@pytest.fixture(params=["embedder", "multilingual"])
def each(request: pytest.FixtureRequest) -> Embedder:
    found: Embedder = request.getfixturevalue(request.param)
    return found


def test_vectors_are_normalised_and_mean_something(each: Embedder) -> None:
    question = asyncio.run(each.embed_queries((QUESTION,)))[0]
    vectors = asyncio.run(each.embed_passages(SENTENCES[1:]))
    assert vectors.shape == (4, each.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    similar, *others = vectors @ question
    assert similar > max(others) + 0.05
    assert asyncio.run(each.embed_passages(())).shape == (0, 384)


def test_a_question_finds_its_answer_in_another_language(multilingual: Embedder) -> None:
    question = asyncio.run(multilingual.embed_queries((QUESTION,)))[0]
    answers, others = (asyncio.run(multilingual.embed_passages(texts)) @ question for texts in (ANSWERS, OTHERS))
    assert min(answers) > max(others) + 0.05
    # As the engine of the package that has the weights computes them, with 4 bit products of its own.
    assert [*answers, *others] == pytest.approx([0.843, 0.803, 0.725, 0.729], abs=0.015)


def test_a_node_finds_chinese_with_the_multilingual_one(multilingual: Embedder, tmp_path: Path) -> None:
    recording = tmp_path / "answers.jsonl"
    recording.touch()
    settings = EdgeSettings(engine="replay", replay_file=recording, embedder=models.E5.name)
    documents = {"pump.txt": ANSWERS[1], "banana.txt": OTHERS[1]}

    async def main() -> None:
        node = await EdgeNode.open(settings, tmp_path)
        try:
            for source, text in documents.items():
                done = await node.ingest(Upload(source=source, data=text.encode()))
                assert done.status == "INGESTED"
            for asked in ("水泵保修多久？", QUESTION):
                first, second = (await node.retrieve(Query(text=Text(value=asked), k=2))).passages
                assert (first.source, second.source) == ("pump.txt", "banana.txt")
                assert first.score > second.score + 0.04
        finally:
            await node.close()

    asyncio.run(main())


def test_queries_and_passages_are_told_apart_where_the_model_does(embedder: Embedder, multilingual: Embedder) -> None:
    async def likeness(of: Embedder) -> float:
        return float((await of.embed_queries((QUESTION,)) @ (await of.embed_passages((QUESTION,))).T)[0, 0])

    assert asyncio.run(likeness(embedder)) == pytest.approx(1.0, abs=1e-5)
    assert 0.8 < asyncio.run(likeness(multilingual)) < 0.99


def test_each_reads_what_it_was_trained_on(embedder: Embedder, multilingual: Embedder) -> None:
    assert [embedder.reads(text) for text in SENTENCES] == [True, True, True, True, False]
    assert all(multilingual.reads(text) for text in SENTENCES)


def test_eight_bits_stay_close_to_the_float_graph(embedder: Embedder) -> None:
    graph = minilm.graph(models.MINILM.directory / "model.safetensors")
    assert min(_likeness_to_float(embedder, graph, {})) >= 0.98


def test_they_do_with_the_words_left_in_their_file(multilingual: Embedder) -> None:
    weights = models.E5.directory / e5.FILE
    table = {e5.TABLE: e5.words(weights)}
    assert min(_likeness_to_float(multilingual, e5.graph(weights), table)) >= 0.98


def _likeness_to_float(embedder: Embedder, graph: Any, table: dict[str, Any]) -> Iterator[float]:
    """Of SENTENCES, the exact vectors being made with padding."""
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    for sentence, vector in zip(SENTENCES, asyncio.run(embedder.embed_queries(SENTENCES)), strict=True):
        ids, padding = embedder._encode(embedder._spec.query_prefix + sentence), [0] * 7
        inputs = {"input_ids": np.array([[*ids, *padding]]), "attention_mask": np.array([[1] * len(ids) + padding])}
        (exact,) = session.run(None, inputs | table)[0]
        yield float(vector @ exact)


def test_a_text_over_the_window_is_refused(each: Embedder) -> None:
    fits = "word" + " word" * (each.max_tokens - each.count_tokens("word"))
    assert each.count_tokens(fits) == each.max_tokens
    asyncio.run(each.embed_queries((fits,)))
    asyncio.run(each.embed_passages((fits,)))
    with pytest.raises(InvalidInput, match="257 tokens does not fit the embedder's 256"):
        asyncio.run(each.embed_queries(("short", fits + " more")))
    with pytest.raises(InvalidInput, match="surrogate"):
        asyncio.run(each.embed_queries(("\ud800",)))


@pytest.mark.parametrize("text", ["½" * 254, "﷽" * 200, "word " * 2000, "水" * 1000])
def test_a_query_of_any_length_has_a_vector(each: Embedder, text: str) -> None:
    assert np.linalg.norm(asyncio.run(embed_whole(each, text))) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("fixture", "model"), [("embedder", models.MINILM), ("multilingual", models.E5)])
def test_the_graph_is_built_once_and_the_same_each_time(
    fixture: str, model: models.Model, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    embedder: Embedder = request.getfixturevalue(fixture)
    files = {file.name for file in model.files}
    for name in files:
        shutil.copyfile(model.directory / name, tmp_path / name)
    build = EMBEDDERS[model.name].build
    built = build(tmp_path)
    assert models.sha256(built) == embedder.model_hash
    made = built.stat().st_mtime_ns
    assert build(tmp_path).stat().st_mtime_ns == made
    assert {path.name for path in tmp_path.iterdir()} == {built.name, *files}

    built.write_bytes(b"damaged" * 100)
    with pytest.raises(NotReady, match="delete it"):
        Embedder.open(model.name, directory=tmp_path)


def test_damaged_weights_are_not_loaded(
    multilingual: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph reads its words from the file, so a wrong byte there would be a wrong vector."""
    here = models.E5.directory
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shutil.copytree(here, models.E5.directory)
    Embedder.open(models.E5.name).close()
    with (models.E5.directory / e5.FILE).open("r+b") as file:
        file.seek(30_000_000)
        file.write(b"damaged")
    with pytest.raises(NotReady, match=r"is corrupt.*edgewise models pull multilingual-e5-small-int8"):
        Embedder.open(models.E5.name)


@pytest.mark.parametrize("model", [models.MINILM, models.E5], ids=lambda model: model.name)
@pytest.mark.parametrize("content", [b"nothing of the kind", b"", b"E5S1" + bytes(100)])
def test_missing_or_foreign_weights(model: models.Model, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="No such file"):
        Embedder.open(model.name, directory=tmp_path)
    weights = tmp_path / model.files[0].name
    weights.write_bytes(content)
    with pytest.raises(NotReady, match="does not hold the weights"):
        Embedder.open(model.name, directory=tmp_path)
    assert list(tmp_path.iterdir()) == [weights]


def test_what_is_no_embedder_is_named() -> None:
    with pytest.raises(NotFound, match=f"there are .*{models.E5.name}"):
        Embedder.open(models.SMOLLM2.name)


def test_the_tokens_are_those_of_the_package(multilingual: Embedder) -> None:
    """Ids as the engine of the package that has the weights makes them."""
    cut = e5.tokenizer(models.E5.directory)
    assert cut("Straße\u00a0 ½ ﬁn 👍") == [0, 90515, 78660, 2270, 6, 118280, 2]
    assert cut("ＡＢＣ ① \u200bЧто это?") == [0, 47457, 106, 12382, 1097, 32, 2]
    passage = "passage: 我今天很高兴，因为天气很好。"
    assert cut(passage) == [0, 46692, 12, 13129, 7461, 222473, 4, 4673, 70871, 29787, 30, 2]
    assert multilingual.count_tokens(passage) == len(cut(passage)) + 3  # `query: ` is the longer prefix


def test_two_queries_at_once(embedder: Embedder) -> None:
    async def main() -> None:
        alone = await embedder.embed_queries(SENTENCES)
        one, two = await asyncio.gather(embedder.embed_queries(SENTENCES), embedder.embed_queries(SENTENCES))
        assert np.array_equal(alone, one)
        assert np.array_equal(alone, two)

    asyncio.run(main())
