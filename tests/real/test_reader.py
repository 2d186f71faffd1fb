"""Reading passages with the real embedder and the weights that are shipped."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import numpy as np
import pytest

from edge import models
from edge.embedder import EMBEDDERS, Embedder
from edge.reader import Reader
from edge.reader.page import open_page
from edge.reader.ranker import WEIGHTS, projection, ranker
from edge.reader.scene import look
from edge.reader.vectors import WordVectors
from edgewise.types import Reading

PASSAGES = [
    "The Wren was built in 1927 by the boatyard of Anna Holm. She is painted green.",
    "Tickets cost four crowns. Children under six travel free. The ferry sails at nine every morning.",
]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    embedder = Embedder.open(words=True)
    yield Reader(embedder)
    embedder.close()


def read(reader: Reader, question: str, passages: list[str]) -> Reading:
    return asyncio.run(reader.read(question, passages))


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("When was the Wren built?", "1927"),
        ("How much does a ticket cost?", "four crowns"),
        ("What colour is the Wren painted?", "green"),
    ],
)
def test_a_short_answer_is_in_the_words_of_its_passage(reader: Reader, question: str, wanted: str) -> None:
    reading = read(reader, question, PASSAGES)
    best = reading.answers[0]
    assert wanted in PASSAGES[best.passage][best.span.start : best.span.end]
    first = reading.sentences[0]
    assert wanted in PASSAGES[first.passage][first.span.start : first.span.end]
    assert sum(quote.probability for quote in reading.sentences) == pytest.approx(1)


@pytest.mark.parametrize(
    ("question", "passages"),
    [
        ("Who?", []),
        ("Who?", [""]),
        ("Who?", ["   \n\n "]),
        ("?", ["A text."]),
        ("", ["A text."]),
        ("Who is it?", ["...", "!!!", "\u200b"]),
        ("Who is it?", ["x" * 20_000]),
        ("Who is it?", ["word " * 3_000]),
        ("Who is it?", ["It is Anna. " * 20_000]),
        ("Who is it? " * 200, ["Anna is it."]),
        ("谁？", ["Anna is it."]),
        ("Who is it?", ["安娜是船长。"]),
        ("Wer ist es?", ['Anna ist es. 🛳️ (Und noch "mehr"; „viel“ mehr.)']),
    ],
)
def test_odd_texts_are_read_in_bounded_time_and_quoted_exactly(
    reader: Reader, question: str, passages: list[str]
) -> None:
    started = time.monotonic()
    reading = read(reader, question, passages)
    assert time.monotonic() - started < 30
    for quote in (*reading.sentences, *reading.answers):
        text = passages[quote.passage][quote.span.start : quote.span.end]
        assert text
        assert text == text.strip()


def test_tokens_beyond_the_window_have_vectors_too(reader: Reader) -> None:
    embedder = reader._embedder
    text = "word " * 1_000
    offsets, vectors = asyncio.run(embedder.embed_words(text))
    assert offsets.shape == (1_000, 2)
    assert vectors.shape == (1_000, embedder.dimension)
    assert text[offsets[-1][0] : offsets[-1][1]] == "word"


def test_words_do_not_change_what_a_text_is_embedded_as(reader: Reader) -> None:
    plain = Embedder.open()
    both = reader._embedder
    assert plain.model_hash == both.model_hash
    assert not plain.has_words
    vectors = [asyncio.run(one.embed_queries(["a ferry"])) for one in (plain, both)]
    assert (vectors[0] == vectors[1]).all()
    plain.close()


def test_the_weights_are_those_of_the_features(reader: Reader) -> None:
    assert set(json.loads(WEIGHTS.read_text(encoding="utf-8"))["rankers"]) == set(EMBEDDERS)
    page = open_page("Who steers?", PASSAGES)
    near = np.zeros(len(page.sentence_spans))
    vectors = WordVectors(np.ones((3, 384)), np.ones((len(page.spans), 384)))
    for name, of in ((models.MINILM.name, vectors), (models.E5.name, None)):
        found = ranker(name)
        assert found is not None
        assert found.names == look(page, near, of, projection()).names
        assert len(found.names) == len(found.first) == len(found.last)
