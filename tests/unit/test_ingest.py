"""Loaders, cleaning and chunking. Files are made here, byte by byte."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.ingest.chunking import chunk, split
from edge.ingest.cleaning import clean
from edge.ingest.loaders import Loaded, Section, load
from edgewise.errors import InvalidInput
from tests.files import pdf


def words(text: str) -> int:
    """Counts as a sentence embedder does: words and CJK characters, and two special tokens around the text."""
    return 2 + len(re.findall(r"[\u3000-\u9fff]|[^\s\u3000-\u9fff]{1,8}", text))


def text_of(loaded: Loaded) -> str:
    return "\n\n".join(paragraph for section in loaded.sections for paragraph in section.paragraphs)


# --- loaders ----------------------------------------------------------------------------------------------------------


def test_text_is_split_at_blank_lines() -> None:
    loaded = load("notes/plan.txt", b"One\ntwo.\r\n\r\n \r\nThree.\n")
    assert loaded == Loaded("plan", (Section((), ("One\ntwo.", "Three.")),))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_heeded(encoding: str) -> None:
    assert text_of(load("a.txt", "Grüße, 世界".encode(encoding))) == "Grüße, 世界"


def test_markdown_headings_become_a_path() -> None:
    data = b"""---
title: "Handbook"
---
# Shop #
Intro.

## Hours
Nine to five.
```
# not a heading
```
Underlined
==========
Last.
"""
    loaded = load("a.md", data)
    assert loaded.title == "Handbook"
    assert [section.headings for section in loaded.sections] == [("Shop",), ("Shop", "Hours"), ("Underlined",)]
    assert "# not a heading" in text_of(loaded)


def test_a_heading_without_text_is_text() -> None:
    loaded = load("a.md", b"# Rules\n## No smoking\n## No dogs\n")
    assert loaded.sections == (Section(("Rules",), ("No smoking",)), Section(("Rules",), ("No dogs",)))


def test_html_keeps_what_a_reader_sees() -> None:
    data = b"""<html><head><title>Gate &amp; Co</title><style>p {}</style></head><body>
<header>Logo</header><nav>Home</nav><script>alert(1)</script><template>no</template><p hidden>no</p>
<main><header><h1>Gate</h1></header><p>Open <b>daily</b>,
from nine.<br>Not on Mondays.</p>loose<div><table><tr><td>Child</td><td>3</td></tr></table></div>
<h2>Code</h2><pre>a
  b</pre></main><footer>Imprint</footer></body></html>"""
    loaded = load("a.html", data)
    assert loaded.title == "Gate & Co"
    assert loaded.sections == (
        Section(("Gate",), ("Open daily, from nine.\nNot on Mondays.", "loose", "Child | 3")),
        Section(("Gate", "Code"), ("a\n  b",)),
    )


def test_html_may_declare_its_encoding() -> None:
    data = '<meta charset="windows-1252"><p>Größe</p>'.encode("windows-1252")
    assert text_of(load("a.htm", data)) == "Größe"


def test_pdf_text_and_title() -> None:
    loaded = load("a.pdf", pdf(["The gate opens at nine.", "An exam-", "ple."], title="Gate rules"))
    assert loaded.title == "Gate rules"
    assert "The gate opens at nine." in text_of(loaded)
    assert "example." in text_of(loaded)


@pytest.mark.parametrize(
    ("source", "data", "reason"),
    [
        ("a.exe", b"x", "unknown type"),
        ("README", b"x", "unknown type"),
        ("a.txt", b"", "is empty"),
        ("a.md", b" \n\n ", "has no text"),
        ("a.html", b"<script>1</script>", "has no text"),
        ("a.txt", "Grüße".encode("latin-1"), "is not UTF-8 text"),
        ("a.txt", b"\xff\xfea", "is not UTF-8 text"),
        ("a.md", b"ELF\0\0\0", "is binary"),
        ("a.html", b'<meta charset="no-such">', "no-such"),
        ("a.html", b"<div>" * 6000 + b"x", "nested"),
        ("a.pdf", b"%PDF-1.7 garbage", "is not a PDF"),
        ("a.pdf", pdf([]), "no text layer"),
        ("a.pdf", pdf(["secret"], password="hush"), "is encrypted; remove the password"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_cannot_be_read_says_why(source: str, data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        load(source, data)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_pdf_never_surprises(data: st.DataObject) -> None:
    whole = bytearray(pdf(["The gate opens at nine."], title="Gate"))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(InvalidInput):
        load("a.pdf", bytes(whole[: data.draw(st.integers(1, len(whole)))]))


# --- cleaning ---------------------------------------------------------------------------------------------------------


def test_cleaning() -> None:
    assert clean("e\u0301 \u00a0 a\u200b\u202eb\x07\tc \r\n\r\n\r\n\r\n  d\ufb01\x0c") == "é ab c\n\n  dfi"


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


# --- chunking ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text(st.sampled_from("ab .!?\n。」世界x"), max_size=400), st.integers(6, 40))
def test_parts_fit_and_lose_nothing(text: str, limit: int) -> None:
    parts = list(split(text, words, limit))
    assert all(words(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_parts_end_at_the_best_boundary() -> None:
    text = "One two three. Four five six. Seven eight nine.\n\nTen."
    assert list(split(text, words, 9)) == ["One two three. Four five six.", "Seven eight nine.\n\nTen."]
    assert list(split("门在九点开。博物馆关门。", words, 9)) == ["门在九点开。", "博物馆关门。"]


def test_passages_stay_below_their_headings() -> None:
    document = Loaded("Shop", (Section(("Shop", "Hours"), ("Nine to five.",)), Section(("Shop", "Prices"), ("Free.",))))
    first, second = chunk(document, words, 40)
    assert (first.title, first.text, first.embedded) == (
        "Shop > Hours",
        "Nine to five.",
        "Shop > Hours\nNine to five.",
    )
    assert second.text == "Free."


def test_an_endless_heading_is_not_embedded() -> None:
    document = Loaded("Shop", (Section(("very " * 50,), ("Nine to five. " * 20,)),))
    assert all(words(piece.embedded) <= 30 and piece.embedded == piece.text for piece in chunk(document, words, 30))
