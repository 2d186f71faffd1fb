"""The words that search knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.terms import STOP_WORDS, content, fold, terms

ANY_TEXT = st.text(st.characters())  # half surrogate pairs, too
MIXED = st.lists(
    st.one_of(
        st.text(),
        st.sampled_from(["Café", "臺灣大學", "हिन्दी", "สวัสดี", "running", "_", "\0", "한국어", "שָׁלוֹם", "ﬁ", "\ufe0f"]),
    )
).map("".join)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("runs", "running"),
        ("museum", "Museums"),
        ("cities", "CITY"),
        ("cafe", "Café"),
        ("Malaga", "Ma\u0301laga"),
        ("résumé", "RESUME"),
        ("strasse", "Straße"),
        ("123", "１２３"),
        ("fine", "ﬁne"),
        ("臺灣大學", "台湾大学"),
        ("開放時間", "开放时间"),
        ("ガラス", "ｶﾞﾗｽ"),
        ("العَرَبِيَّة", "العربية"),
        ("שָׁלוֹם", "שלום"),
        ("葛\U000e0100飾", "葛飾"),
    ],
)
def test_forms_of_one_word_are_one(one: str, other: str) -> None:
    assert terms(one) == terms(other) != []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The doors open at nine.", ["the", "door", "open", "at", "nine"]),
        ("snake_case, e-mail: 3.14", ["snake", "case", "e", "mail", "3", "14"]),
        ("AI模型2024年", ["ai", "模型", "2024", "年"]),
        ("北京大学", ["北京", "京大", "大学"]),
        ("한국어 문서", ["한국", "국어", "문서"]),
        ("がぎ", ["がぎ"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("தமிழ்", ["தமிழ்"]),
        ("ไทย", ["ไท", "ทย"]),
        ("❤\ufe0f 1\ufe0f\u20e3", ["1"]),
        ("", []),
        ("?! \n\0", []),
    ],
)
def test_words(text: str, wanted: list[str]) -> None:
    assert terms(text) == wanted


def test_marks_that_tell_words_apart_stay() -> None:
    assert len({tuple(terms(word)) for word in ("かき", "がき", "かぎ")}) == 3
    assert terms("की") != terms("का")


@given(ANY_TEXT | MIXED)
def test_any_text_has_terms_without_spaces_or_signs(text: str) -> None:
    for term in terms(text):
        assert term
        assert not set(term) & set(" \t\n\0\"'*^():-_")
        assert term.encode()


@given(ANY_TEXT | MIXED)
def test_folding_twice_is_folding_once(text: str) -> None:
    """But for a few Chinese characters, whose Simplified form is itself the Traditional form of another one."""
    once = fold("".join(char for char in text if not "\u3400" <= char <= "\u9fff" and char < "\U00020000"))
    assert fold(once) == once


@given(MIXED, MIXED)
def test_sentences_have_the_words_of_their_text(one: str, other: str) -> None:
    assert terms(f"{one}\n{other}") == terms(one) + terms(other)


def test_what_a_query_is_about() -> None:
    assert content(terms("What is the name of the museum, and where is the museum?")) == ["name", "museum"]
    assert content(terms("Who was he?")) == ["who", "wa", "he"], "all, if there is nothing else"
    assert content([]) == []
    assert all(content([*terms(word), "museum"]) == ["museum"] for word in STOP_WORDS)
