import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import Unigram as Reference

from edge.unigram import Unigram

BEGIN, UNKNOWN, END = 0, 1, 2
PIECES = [
    "<s>", "<unk>", "</s>", " ", "a", "b", "n", "s", "t", " a", " b", "an", "na", "ban", " ban", "ana", "nan", "anas",
    " bananas", "st", "ta", "水", "水泵", "泵的", "é",
]  # fmt: skip
# The logarithms of primes: no two ways to cut a text are alike but by using the same pieces.
PRIMES = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97]
SCORES = [-math.log(prime) for prime in PRIMES]
NORMAL = {ord("\t"): " ", ord("½"): "a1b", ord("A"): "a", 0x200B: "", ord("ｂ"): "b"}


def test_the_likeliest_way_of_all_is_taken() -> None:
    cut = Unigram(PIECES, SCORES, NORMAL, begin=BEGIN, end=END, unknown=UNKNOWN)
    assert cut("bananas") == [BEGIN, PIECES.index(" bananas"), END]
    assert cut("水泵的") == [BEGIN, *map(PIECES.index, (" ", "水", "泵的")), END]  # not 水泵, which leaves 的
    assert cut("") == [BEGIN, PIECES.index(" "), END]
    assert cut("axyzt") == [BEGIN, PIECES.index(" a"), UNKNOWN, PIECES.index("t"), END]


@given(st.text(alphabet="abnst 水泵的éx"))
def test_it_agrees_with_tokenizers(text: str) -> None:
    cut = Unigram(PIECES, SCORES, {}, begin=BEGIN, end=END, unknown=UNKNOWN)
    reference = Tokenizer(Reference(list(zip(PIECES, SCORES, strict=True)), unk_id=UNKNOWN))
    words = [f" {word}" for word in text.split(" ") if word]
    if text.endswith(" ") or not words:
        words.append(" ")
    wanted = [token for word in words for token in reference.encode(word).ids]
    assert cut(text) == [BEGIN, *wanted, END]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", " "),
        ("  a \t  b ", " a b "),
        ("a½ｂ", " aa1bb"),
        ("A\u200bA", " aa"),
        ("e\u0301", " é"),
    ],
)
def test_one_form_and_single_spaces(text: str, normal: str) -> None:
    assert Unigram(PIECES, SCORES, NORMAL, begin=BEGIN, end=END, unknown=UNKNOWN).normalise(text) == normal
