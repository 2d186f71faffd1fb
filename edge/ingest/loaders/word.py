"""Word documents (.docx): headings by their style, paragraphs, lists and tables in the order of the document.

python-docx opens the package; the body is walked here, because it leaves out what stands in content controls, text
boxes and tracked insertions. Deleted text, comments, page headers and footers stay out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from edge.ingest.cleaning import one_line
from edge.ingest.loaders.archive import check_archive
from edge.ingest.loaders.outline import Loaded, Outline
from edge.ingest.loaders.tables import header, named
from edgewise.errors import InvalidInput

if TYPE_CHECKING:
    from docx.document import Document

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_VAL = f"{_W}val"
_BOX = f"{_W}txbxContent"
_MARKS = {f"{_W}tab": " ", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
# A text box is written down twice, the second time for old programs; properties have tags of the same names.
_SKIPPED = frozenset((
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback", f"{_W}pPr", f"{_W}rPr", f"{_W}del",
    f"{_W}moveFrom", f"{_W}sdtPr", f"{_W}tblPr", f"{_W}trPr", f"{_W}tcPr",
))  # fmt: skip
_NOTES = ("/word/footnotes.xml", "/word/endnotes.xml")
_HEADING = re.compile(r"title|heading (\d)", re.IGNORECASE)
_BODY_TEXT = 10  # the level of paragraphs that are no headings
_MOST_COLUMNS = 63  # of a table of Word
_BREAKAGE = (ArithmeticError, AttributeError, LookupError, RuntimeError, SyntaxError, TypeError, ValueError)

Element = Any  # of lxml, which has no types


def load(data: bytes) -> Loaded:
    import docx
    from docx.opc.exceptions import OpcError

    check_archive(data, "Word document (.docx)")
    try:
        document = docx.Document(BytesIO(data))
        outline = Outline()
        outline.title = one_line(document.core_properties.title)
        body = _Body(outline, document)
        body.read(document.element.body)
        for notes in _notes(document):
            outline.leave(0)
            body.read(notes)
        return outline.finish()
    except (OpcError, *_BREAKAGE):
        raise InvalidInput("is not a Word document that can be read; open it in Word and save it again") from None


def _notes(document: Document) -> Iterator[Element]:
    from docx.oxml.parser import parse_xml

    for part in document.part.package.iter_parts():
        if part.partname in _NOTES:
            for note in parse_xml(part.blob):
                if note.get(f"{_W}type") in {None, "normal"}:
                    yield note


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the properties of a paragraph, or of a style, make of it: a heading of some level, an item of a list."""

    level: int | None = None
    is_item: bool | None = None

    @staticmethod
    def of(properties: Element | None) -> _Kind:
        if properties is None:
            return _Kind()
        level, number = properties.find(f"{_W}outlineLvl"), properties.find(f"{_W}numPr/{_W}numId")
        return _Kind(
            level=None if level is None else int(level.get(_VAL)) + 1,
            is_item=None if number is None else number.get(_VAL) != "0",
        )

    def over(self, other: _Kind) -> _Kind:
        return _Kind(
            level=other.level if self.level is None else self.level,
            is_item=other.is_item if self.is_item is None else self.is_item,
        )


class _Styles:
    """The kinds of the styles, each with what it inherits."""

    def __init__(self, styles: Element) -> None:
        self._elements = {style.get(f"{_W}styleId"): style for style in styles.iter(f"{_W}style")}
        self._kinds: dict[str, _Kind] = {}

    def kind(self, properties: Element | None) -> _Kind:
        style = None if properties is None else properties.find(f"{_W}pStyle")
        return _Kind.of(properties).over(_Kind() if style is None else self._named(style.get(_VAL)))

    def _named(self, style_id: str) -> _Kind:
        if style_id not in self._kinds:
            self._kinds[style_id] = _Kind()  # for styles that are based on themselves
            if (style := self._elements.get(style_id)) is not None:
                self._kinds[style_id] = self._read(style)
        return self._kinds[style_id]

    def _read(self, style: Element) -> _Kind:
        kind = _Kind.of(style.find(f"{_W}pPr"))
        name = style.find(f"{_W}name")
        if found := _HEADING.fullmatch("" if name is None else name.get(_VAL, "")):
            kind = _Kind(level=int(found[1] or 0)).over(kind)
        base = style.find(f"{_W}basedOn")
        return kind if base is None else kind.over(self._named(base.get(_VAL)))


class _Body:
    def __init__(self, outline: Outline, document: Document) -> None:
        self._outline = outline
        self._styles = _Styles(document.styles.element)

    def read(self, parent: Element) -> None:
        """The blocks inside an element, also those in content controls and tracked insertions."""
        for child in parent:
            if child.tag == f"{_W}p":
                self._paragraph(child)
            elif child.tag == f"{_W}tbl":
                for line in _table(child):
                    self._outline.line(line)
            elif child.tag not in _SKIPPED:
                self.read(child)

    def _paragraph(self, paragraph: Element) -> None:
        text = "".join(_text(paragraph))
        kind = self._styles.kind(paragraph.find(f"{_W}pPr"))
        if kind.level is not None and kind.level < _BODY_TEXT:
            self._outline.heading(kind.level, text)
        elif kind.is_item:
            self._outline.line(f"- {text}" if text.strip() else "")
        else:
            self._outline.paragraph(text)
        for box in _boxes(paragraph):
            self.read(box)


def _text(element: Element) -> Iterator[str]:
    for child in element:
        if child.tag == f"{_W}t":
            yield (child.text or "").replace("\n", " ")
        elif child.tag in _MARKS:
            yield _MARKS[child.tag]
        elif child.tag not in _SKIPPED and child.tag != _BOX:
            yield from _text(child)


def _boxes(element: Element) -> Iterator[Element]:
    for child in element:
        if child.tag == _BOX:
            yield child
        elif child.tag not in _SKIPPED:
            yield from _boxes(child)


def _table(table: Element) -> Iterator[str]:
    """A row a line. Of three columns or more, or where Word knows the first row as a header, the names go along."""
    rows = [tuple(_cells(row)) for row in table.iter(f"{_W}tr") if next(row.iterancestors(f"{_W}tbl")) is table]
    if not rows:
        return
    is_header = table.find(f"{_W}tr/{_W}trPr/{_W}tblHeader") is not None
    names = header(rows[0]) if is_header or len(rows[0]) > 2 else None
    for row in rows[1:] if names and len(rows) > 1 else rows:
        yield named(names, row) if names and len(rows) > 1 else " | ".join(filter(None, row))


def _cells(row: Element) -> Iterator[str]:
    """One text a column: a cell that spans some columns is followed by empty ones."""
    for cell in row.iter(f"{_W}tc"):
        if next(cell.iterancestors(f"{_W}tr")) is not row:
            continue
        blocks = ("".join(_text(paragraph)) for paragraph in cell.iter(f"{_W}p"))
        yield one_line(" ".join(blocks))
        span = cell.find(f"{_W}tcPr/{_W}gridSpan")
        for _ in range(min(int(span.get(_VAL)), _MOST_COLUMNS) - 1 if span is not None else 0):
            yield ""
