"""The loaders of Word documents, tables and records, and what all of them leave out."""

from __future__ import annotations

import json
from contextlib import suppress

import docx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import parse_xml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.ingest.cleaning import without_furniture
from edge.ingest.loaders import Loaded, Section, load
from edgewise.errors import InvalidInput
from tests.awkward import BAD, GOOD
from tests.files import W, pdf, saved, word, word_xml

NOTICE = (
    "This manual is provided as it is, without any warranty, and no part of it may be copied, lent or sold in any form "
    "or by any means unless the publisher agrees in writing; the names in it are trade marks of their owners, who have "
    "nothing to do with it."
)


def paragraphs(loaded: Loaded) -> list[str]:
    return [paragraph for section in loaded.sections for paragraph in section.paragraphs]


@pytest.mark.parametrize("name", GOOD)
def test_what_is_only_strange_is_read(name: str) -> None:
    sentence, made = GOOD[name]
    assert sentence in "\n".join(paragraphs(load(name, made(sentence))))


@pytest.mark.parametrize("name", [name for name in BAD if name != "sparse.txt"])
@pytest.mark.timeout(20)
def test_what_is_bad_says_why(name: str) -> None:
    reason, made = BAD[name]
    with pytest.raises(InvalidInput, match=reason):
        load(name, made())


# --- Word -------------------------------------------------------------------------------------------------------------


def test_word_headings_lists_and_tables_stay_in_order() -> None:
    document = docx.Document()
    document.core_properties.title = "Handbook"
    document.add_heading("Museum", 1)
    document.add_paragraph("Founded in 1871.")
    document.add_heading("Hours", 2)
    document.add_paragraph("Monday", style="List Bullet")
    document.add_paragraph("Tuesday", style="List Number")
    table = document.add_table(3, 3)
    for row, cells in enumerate((("Room", "Seats", "Floor"), ("Cedar", "40", "2"), ("Oak", "12", ""))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    document.add_paragraph("Closed in May.")
    assert load("a.docx", saved(document)) == Loaded(
        "Handbook",
        (
            Section(("Museum",), ("Founded in 1871.",)),
            Section(
                ("Museum", "Hours"),
                (
                    "- Monday\n- Tuesday\nRoom: Cedar; Seats: 40; Floor: 2\nRoom: Oak; Seats: 12",
                    "Closed in May.",
                ),
            ),
        ),
    )


def test_word_tables_of_two_columns_are_read_as_they_stand() -> None:
    """ "Name | Ada" above "Born | 1815" is no header."""
    document = docx.Document()
    table = document.add_table(2, 2)
    for row, cells in enumerate((("Name", "Ada"), ("Born", "1815"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    assert paragraphs(load("a.docx", saved(document))) == ["Name | Ada\nBorn | 1815"]


def test_word_headings_are_known_by_style_and_by_level() -> None:
    """Styles of one's own inherit the level, and have any name."""
    document = docx.Document()
    own = document.styles.add_style("Überschrift Amt", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = document.styles["Heading 2"]
    document.add_paragraph("Top", style="Title")
    document.add_paragraph("Below", style=own)
    document.add_paragraph("Text.")
    loaded = load("a.docx", saved(document))
    assert (loaded.title, loaded.sections) == ("Top", (Section(("Top", "Below"), ("Text.",)),))


def test_word_leaves_out_what_is_deleted_and_nothing_else() -> None:
    """Content controls, tracked insertions, links, text boxes are text; python-docx's `text` has none of it."""
    body = """
<w:sdt><w:sdtContent><w:p><w:r><w:t>In a control.</w:t></w:r></w:p></w:sdtContent></w:sdt>
<w:p><w:r><w:t>The fee</w:t></w:r><w:r><w:t xml:space="preserve"> </w:t></w:r>
<w:ins><w:r><w:t>is nine</w:t></w:r></w:ins>
<w:del><w:r><w:delText>is six</w:delText></w:r></w:del><w:hyperlink><w:r><w:t xml:space="preserve"> euros.</w:t></w:r>
</w:hyperlink></w:p>
<w:p><w:r><w:t>Beside a box.</w:t></w:r><w:r><mc:AlternateContent
 xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><mc:Choice><w:txbxContent><w:p><w:r><w:t>In
 a box.</w:t></w:r></w:p></w:txbxContent></mc:Choice><mc:Fallback><w:txbxContent><w:p><w:r><w:t>In a
 box.</w:t></w:r></w:p></w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>
<w:p><w:moveFrom><w:r><w:t>Moved away.</w:t></w:r></w:moveFrom></w:p>"""
    assert paragraphs(load("a.docx", word_xml(body))) == [
        "In a control.",
        "The fee is nine euros.",
        "Beside a box.",
        "In a box.",
    ]


def test_word_cells_that_span_columns_keep_the_others_in_place() -> None:
    document = docx.Document()
    cells = "".join(f"<w:tc><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:tc>" for text in ("Room", "From", "To"))
    wide = '<w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr><w:p><w:r><w:t>Cedar</w:t></w:r></w:p></w:tc>'
    last = "<w:tc><w:p><w:r><w:t>nine</w:t></w:r></w:p></w:tc>"
    rows = f"<w:tr>{cells}</w:tr><w:tr>{wide}{last}</w:tr>"
    document.element.body.insert(0, parse_xml(f'<w:tbl xmlns:w="{W}">{rows}</w:tbl>'))
    assert paragraphs(load("a.docx", saved(document))) == ["Room: Cedar; To: nine"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_word_document_never_surprises(data: st.DataObject) -> None:
    whole = bytearray(word("# Gate", "The gate opens at nine.", title="Gate"))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(InvalidInput):
        load("a.docx", bytes(whole[: data.draw(st.integers(1, len(whole)))]))


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from('<>/w:ptblrcsdx="0'), max_size=60))
def test_damaged_xml_never_surprises(inside: str) -> None:
    with suppress(InvalidInput):
        load("a.docx", word_xml(f"<w:p>{inside}</w:p>"))


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.csv", 'name,town\n"Quill, Ada",Bath\nBo,\n', ["name: Quill, Ada; town: Bath", "name: Bo"]),
        ("a.csv", "name;fee\nAda;1,50\n", ["name: Ada; fee: 1,50"]),
        ("a.csv", "name|town\nAda|Bath\n", ["name: Ada; town: Bath"]),
        ("a.csv", "name,fee,\nAda,3,\n", ["name: Ada; fee: 3"]),
        ("a.csv", 'a,b\n"two\nlines",3\n', ["a: two lines; b: 3"]),
        ("a.csv", "1,2\n3,4\n", ["1 | 2", "3 | 4"]),
        ("a.csv", "name,name\nAda,Bo\n", ["name | name", "Ada | Bo"]),
        ("a.csv", "name,town\nAda,Bath,beyond\n", ["name: Ada; town: Bath; beyond"]),
        ("a.csv", "one column\nof text, or so\n", ["one column", "of text, or so"]),
        ("a.csv", "name,town\n", ["name | town"]),
        ("a.tsv", "name\ttown\nAda\tBath, Somerset\n", ["name: Ada; town: Bath, Somerset"]),
    ],
)
def test_rows_carry_the_names_of_their_columns(name: str, text: str, lines: list[str]) -> None:
    assert "\n".join(paragraphs(load(name, text.encode()))).split("\n") == lines


def test_rows_are_grouped_and_none_is_lost_though_they_are_alike() -> None:
    rows = [f"2026-01-{day:02},{city},rain" for day in range(1, 29) for city in ("Oslo", "Bergen", "Oslo")]
    loaded = load("a.csv", "\n".join(("day,city,weather", *rows)).encode())
    found = paragraphs(loaded)
    assert all(len(paragraph) <= 520 for paragraph in found)
    assert len("\n".join(found).split("\n")) == len(rows)
    assert loaded.dropped == 0


def test_a_row_with_a_text_is_an_article() -> None:
    text = "The lamp is lit at dusk. " * 20
    loaded = load("a.csv", f"title,text,year\nLamps,{text},1871\nBoats,short,1900\n".encode())
    assert loaded.sections == (
        Section(("Lamps",), (text.strip(), "year: 1871")),
        Section((), ("title: Boats; text: short; year: 1900",)),
    )


# --- records ----------------------------------------------------------------------------------------------------------


def test_an_object_is_a_paragraph() -> None:
    data = [
        {"name": "Ada", "address": {"city": "Bath", "zip": None}, "tags": ["a", 2, True]},
        {"name": "Bo", "pets": [{"name": "Rex"}, {"name": "Tom"}]},
    ]
    assert paragraphs(load("a.json", json.dumps(data).encode())) == [
        "name: Ada\naddress.city: Bath\ntags: a, 2, true",
        "name: Bo\npets.1.name: Rex\npets.2.name: Tom",
    ]


def test_lists_of_objects_are_sections_and_the_rest_is_about_the_whole() -> None:
    data = {"title": "Stock", "as of": 2026, "tools": [{"tool": "saw"}, {"tool": "file"}]}
    assert load("a.json", json.dumps(data).encode()) == Loaded(
        "Stock",
        (Section((), ("title: Stock\nas of: 2026",)), Section(("tools",), ("tool: saw", "tool: file"))),
    )


def test_a_record_with_a_text_is_an_article() -> None:
    lines = [
        {"title": "Lamps", "body": "First.\n\nSecond.", "year": 1871},
        {"body": "Third.\n\nFourth."},
    ]
    loaded = load("a.jsonl", "\n".join(map(json.dumps, lines)).encode())
    assert loaded == Loaded(
        "a", (Section(("Lamps",), ("First.", "Second.", "year: 1871")), Section((), ("Third.", "Fourth.")))
    )


def test_keys_that_stand_twice_are_both_kept() -> None:
    assert paragraphs(load("a.json", b'{"a": 1, "a": 2}')) == ["a: 1\na: 2"]


def test_line_separators_inside_a_string_end_no_record() -> None:
    assert paragraphs(load("a.jsonl", '{"a": "one\u2028two\u0085three"}\n'.encode())) == ["a: one two three"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(json_values)
def test_no_word_of_any_json_is_lost(value: object) -> None:
    def words(part: object) -> set[str]:
        if isinstance(part, dict):
            return set().union(*map(words, part.values())) if part else set()
        if isinstance(part, list):
            return set().union(*map(words, part)) if part else set()
        return (
            {word for word in part.split() if word.isascii() and word.isprintable()} if isinstance(part, str) else set()
        )

    try:
        loaded = load("a.json", json.dumps(value).encode())
    except InvalidInput:
        assert not words(value)
        return
    found = f"{loaded.title} {loaded.sections}"
    assert all(repr(word)[1:-1] in found or word in found for word in words(value))


# --- what is left out -------------------------------------------------------------------------------------------------


def test_furniture_of_web_pages_goes() -> None:
    page = f"""<body class="cookie-banner-open"><div id="cookie-banner"><p>We use cookies.</p></div>
<div role="banner">Logo</div><div role="navigation">Home</div><div class="CookieConsent">Accept</div>
<article><h1>Cookie notices</h1><div class="cookie-info"><h1>A text about them</h1>What <b>cookies</b> do.</div>
<div role="banner">Of the article.</div></article><footer>{NOTICE}</footer></body>"""
    loaded = load("a.html", page.encode())
    assert paragraphs(loaded) == ["Cookie notices", "What cookies do.", "Of the article."]
    assert loaded.dropped == 5


def test_what_only_looks_like_consent_stays() -> None:
    recipe, law = "<p>Bake for nine minutes.</p>", f"<p>{NOTICE * 20}</p>"
    page = f'<section class="cookies">{recipe}</section><div id="cookie-law">{law}</div>'
    loaded = load("a.html", page.encode())
    assert loaded.dropped == 0
    assert paragraphs(loaded)[0] == "Bake for nine minutes."


def test_a_paragraph_that_comes_again_goes() -> None:
    again = NOTICE.replace(", ", " ,\n").upper()
    loaded = load("a.md", f"# A\n\n{NOTICE}\n\nFirst.\n\n# B\n\n{again}\n\nSecond.".encode())
    assert paragraphs(loaded) == [NOTICE, "First.", "Second."]
    assert loaded.dropped == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (NOTICE, NOTICE.replace("without", "with")),
        (NOTICE, NOTICE.replace("may be copied", "may not be copied")),
        (NOTICE + " Fee: 1.5", NOTICE + " Fee: 15"),
        (NOTICE + " Below -3", NOTICE + " Below 3"),
        ("Closed on Mondays.", "Closed on Mondays."),
    ],
)
def test_what_differs_in_a_word_stays_and_what_is_short(one: str, other: str) -> None:
    loaded = load("a.txt", f"{one}\n\n{other}".encode())
    assert (len(paragraphs(loaded)), loaded.dropped) == (2, 0)


def test_the_same_of_another_subject_stays() -> None:
    same = "The entrance has no steps, the lift goes to all floors, and dogs that guide are welcome."
    loaded = load("a.md", f"# Museum\n\n{same}\n\n{same}\n\n# Theatre\n\n{same}".encode())
    assert [section.headings for section in loaded.sections] == [("Museum",), ("Theatre",)]
    assert loaded.dropped == 1


def test_headers_and_page_numbers_of_a_pdf_go() -> None:
    pages = [
        ["The Tarn report", f"What page {number} says is {word}.", f"It is {word}.", f"Page {number} of 4"]
        for number, word in enumerate(("amber", "birch", "cedar", "dune"), 1)
    ]
    loaded = load("a.pdf", pdf(*pages))
    text = "\n".join(paragraphs(loaded))
    assert text.count("The Tarn report") == 1
    assert text.count("Page ") == 1
    assert all(word in text for word in ("amber", "birch", "cedar", "dune"))
    assert loaded.dropped == 6


def test_left_and_right_pages_and_bare_numbers() -> None:
    pages = [
        f"{('Tarn', 'Report')[number % 2]}\n\nText {'abcdefgh'[number]}.\n\n– {number + 9} –" for number in range(8)
    ]
    stripped, dropped = without_furniture(pages)
    assert [page.strip() for page in stripped[2:]] == [f"Text {letter}." for letter in "cdefgh"]
    assert dropped == 6 + 8


@pytest.mark.parametrize(
    "pages",
    [
        [f"Day {number}\nWe walked." + "!" * number for number in range(1, 9)],
        [f"Chapter {number}\nText {'x' * number}" for number in range(1, 9)],
        [f"Total\n{number * 7}" for number in range(1, 9)][:2],
        [f"Row {number * number}\nx{'y' * number}" for number in range(1, 9)],
        ["Agenda\nA", "Agenda\nB"],
    ],
)
def test_what_pages_say_stays(pages: list[str]) -> None:
    assert without_furniture(pages) == (pages, 0)


@given(st.lists(st.text(st.sampled_from("ab1 \n"), max_size=30), max_size=12))
def test_only_whole_lines_go_and_are_counted(pages: list[str]) -> None:
    stripped, dropped = without_furniture(pages)
    before = sum(page.count("\n") + 1 for page in pages)
    after = sum(page.count("\n") + 1 if page else 0 for page in stripped)
    assert len(stripped) == len(pages)
    assert before - len(pages) <= after + dropped <= before
