"""Sentences, words and candidates for short answers, without a model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reader import unspaced
from edge.reader.page import candidates, open_page, text_of
from edge.reader.question import COUNT, OTHER, WHAT, WHAT_X, WHEN, WHERE, WHO, WHY_HOW, read_question
from edge.reader.ranker import Ranker, choose
from edge.reader.scene import look
from edge.reader.sentences import sentences
from edge.reader.vectors import pooled
from edge.reader.words import NAME, NUMBER, PREPOSITION, YEAR, kind_of, stem, words

FERRY = "The ferry of Osk was built in 1927 by Anna Holm. It carries 40 people, e.g. sailors. Dr. Vik steers it!"


def cut(text: str) -> list[str]:
    return [text[span.start : span.end] for span in sentences(text)]


def test_a_sentence_ends_where_it_ends() -> None:
    assert cut(FERRY) == [
        "The ferry of Osk was built in 1927 by Anna Holm.",
        "It carries 40 people, e.g. sailors.",
        "Dr. Vik steers it!",
    ]
    assert cut("渡轮九点开。“几点？”他问\nand so on") == ["渡轮九点开。", "“几点？”", "他问", "and so on"]
    assert cut(" \n ") == []


@given(st.text(max_size=200))
def test_sentences_and_words_lose_nothing_but_white_space(text: str) -> None:
    kept = "".join(cut(text))
    assert [char for char in kept if not char.isspace()] == [char for char in text if not char.isspace()]
    found = "".join(text[start:end] for start, end in words(text))
    assert "".join(found.split()) == "".join(text.split())


def test_words_and_their_kinds() -> None:
    shown = [FERRY[start:end] for start, end in words("The ferry of Osk was built in 1927 by Anna Holm.")]
    assert shown == ["The", "ferry", "of", "Osk", "was", "built", "in", "1927", "by", "Anna", "Holm", "."]
    assert [kind_of(word) for word in ("1927", "40", "forty", "in", "Holm")] == [
        YEAR,
        NUMBER,
        NUMBER,
        PREPOSITION,
        NAME,
    ]
    assert stem("carries") == stem("carried") == "carri"
    assert stem("ship's") == stem("ships")


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("Who built the ferry?", WHO),
        ("In what year was it built?", WHEN),
        ("When was it built?", WHEN),
        ("Which city is it from?", WHERE),
        ("How many people does it carry?", COUNT),
        ("How does it work?", WHY_HOW),
        ("Why is it old?", WHY_HOW),
        ("What colour is the hull?", WHAT_X),
        ("What is a ferry?", WHAT),
        ("Tell me of the ferry.", OTHER),
        ("", OTHER),
        ("???", OTHER),
    ],
)
def test_what_a_question_asks_for(question: str, asks: int) -> None:
    assert read_question(question).type == asks


def test_candidates_start_and_end_where_answers_do() -> None:
    page = open_page("Who built the ferry?", [FERRY])
    texts = {text_of(page, a, b) for a, b in zip(*candidates(page, [0]), strict=True)}
    assert {"Anna Holm", "1927", "in 1927", "The ferry of Osk"} <= texts
    assert not {"of", "in", "built in", "Holm.", "The"} & texts
    assert all("Dr." not in text for text in texts)  # of the chosen sentence only


def test_the_text_that_gains_most_is_chosen_and_no_other_one_overlaps_it() -> None:
    page = open_page("Who built the ferry?", [FERRY])
    scene = look(page, np.zeros(len(page.sentence_spans)))
    weights = np.asarray([5.0 if name == "type: who, name" else 0.0 for name in scene.names])
    first, *others = choose(scene, Ranker(scene.names, weights, weights), 3)
    texts = [text_of(page, scene.starts[one.place], scene.ends[one.place]) for one in (first, *others)]
    assert any(name in texts[0] for name in ("Anna Holm", "Osk", "Vik"))
    assert all(0 <= one.probability <= 1.000001 for one in (first, *others))
    spans = sorted((int(scene.starts[one.place]), int(scene.ends[one.place])) for one in (first, *others))
    assert all(left[1] <= right[0] for left, right in pairwise(spans))


def test_a_word_has_the_mean_of_its_tokens() -> None:
    offsets = np.asarray([[0, 2], [2, 5], [6, 9]])
    vectors = np.asarray([[1.0], [3.0], [7.0]], np.float32)
    assert pooled(offsets, vectors, [(0, 5), (6, 9), (20, 22)]).tolist() == [[2.0], [7.0], [0.0]]
    assert pooled(np.zeros((0, 2), np.int64), np.zeros((0, 1), np.float32), [(0, 1)]).tolist() == [[0.0]]


def test_chinese_is_read_by_its_sentences() -> None:
    passages = ["票价四克朗，儿童免费。", "渡轮每天早上九点开船，晚上六点返回。船长叫安娜。"]
    reading = unspaced.read("渡輪早上幾點開船？", passages)  # asked in Traditional characters
    [answer] = reading.answers
    assert answer == reading.sentences[0]
    assert passages[answer.passage][answer.span.start : answer.span.end] == "渡轮每天早上九点开船，晚上六点返回。"


@pytest.mark.parametrize("passages", [[], [""], ["。"], ["plain English text."], ["没有关系的话。"]])
def test_chinese_questions_to_other_texts(passages: list[str]) -> None:
    reading = unspaced.read("船长是谁？", passages)
    for quote in (*reading.sentences, *reading.answers):
        assert passages[quote.passage][quote.span.start : quote.span.end].strip()
