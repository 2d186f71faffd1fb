"""What a file says: its title and its paragraphs, under their headings.

A loader gets bytes and either finds text or raises InvalidInput with a reason that follows "FILE: ". It never guesses:
text of unknown encoding is refused, because wrongly decoded passages would be found and believed.
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING

from edge.ingest.cleaning import clean, one_line
from edgewise.errors import InvalidInput

if TYPE_CHECKING:
    from pypdf import PdfReader
    from selectolax.lexbor import LexborNode


@dataclass(frozen=True, slots=True)
class Section:
    """Paragraphs, and the headings above them, outermost first."""

    headings: tuple[str, ...]
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    title: str
    sections: tuple[Section, ...]


def load(source: str, data: bytes) -> Loaded:
    """The title and the text of a file; the ending of `source` says what it is. CPU-bound: call it on a thread."""
    ending = PurePath(source).suffix.lower()
    if ending not in _LOADERS:
        raise InvalidInput(f"is of an unknown type; there are loaders for {', '.join(_LOADERS)}")
    if not data:
        raise InvalidInput("is empty")
    loaded = _LOADERS[ending](data)
    if not loaded.sections:
        raise InvalidInput("has no text")
    return loaded if loaded.title else Loaded(PurePath(source).stem, loaded.sections)


class _Outline:
    """Collects paragraphs under the headings that precede them."""

    def __init__(self) -> None:
        self.title = ""
        self._path: list[tuple[int, str]] = []
        self._paragraphs: list[str] = []
        self._sections: list[Section] = []
        self._is_bare = False  # nothing has followed the last heading

    def heading(self, level: int, text: str) -> None:
        text = one_line(text)
        if not text:
            return
        self._close(level)
        self.title = self.title or text
        self._path = [*(outer for outer in self._path if outer[0] < level), (level, text)]
        self._is_bare = True

    def paragraph(self, text: str) -> None:
        if text := clean(text):
            self._paragraphs.append(text)
            self._is_bare = False

    def finish(self) -> Loaded:
        self._close(level=0)
        return Loaded(self.title, tuple(self._sections))

    def _close(self, level: int) -> None:
        headings = tuple(text for _, text in self._path)
        if self._paragraphs:
            self._sections.append(Section(headings, tuple(self._paragraphs)))
        elif self._is_bare and self._path[-1][0] >= level:
            # Nothing stands below this heading, so it is itself what the document says here.
            self._sections.append(Section(headings[:-1], headings[-1:]))
        self._paragraphs, self._is_bare = [], False


# --- text -------------------------------------------------------------------------------------------------------------

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def _decode(data: bytes, declared: str = "") -> str:
    """By its byte order mark, by what it declares, or as UTF-8."""
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), declared or "utf-8")
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        wanted = f"is not the {declared[:40]} text that it declares to be" if declared else "is not UTF-8 text"
        raise InvalidInput(f"{wanted}; save it as UTF-8") from None
    if "\0" in text:
        raise InvalidInput("is binary, not text")
    return text


def _text(data: bytes) -> Loaded:
    outline = _Outline()
    for paragraph in clean(_decode(data)).split("\n\n"):
        outline.paragraph(paragraph)
    return outline.finish()


# --- Markdown ---------------------------------------------------------------------------------------------------------

_FRONT_MATTER = re.compile(r"---\n(.*?)\n---(?:\n|$)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:\s*(\S.*)$", re.MULTILINE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})$")


def _markdown(data: bytes) -> Loaded:
    """By the CommonMark rules for headings and fenced code; everything else stays as it was written."""
    text = clean(_decode(data))
    outline = _Outline()
    if front := _FRONT_MATTER.match(text):
        text = text[front.end() :]
        if title := _FRONT_TITLE.search(front[1]):
            outline.title = one_line(title[1].strip("\"'"))
    lines: list[str] = []
    fence = ""

    def flush() -> None:
        outline.paragraph("\n".join(lines))
        lines.clear()

    for line in text.split("\n"):
        opens = _FENCE.match(line)
        if fence:
            lines.append(line)
            if opens and opens[1].startswith(fence) and line.strip() == opens[1]:
                fence = ""
                flush()
        elif opens:
            fence = opens[1]
            lines.append(line)
        elif heading := _HEADING.match(line):
            flush()
            outline.heading(len(heading[1]), heading[2].rstrip("# "))
        elif len(lines) == 1 and (underline := _UNDERLINE.match(line)):
            outline.heading(1 if underline[1][0] == "=" else 2, lines.pop())
        elif line.strip():
            lines.append(line)
        else:
            flush()
    flush()
    return outline.finish()


# --- HTML -------------------------------------------------------------------------------------------------------------

_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_DROPPED = frozenset(("script", "style", "nav", "template", "noscript", "svg", "iframe", "head", "button", "select"))
_FURNITURE = frozenset(("header", "footer"))
_ARTICLE = ("main", "article")
_SPACE = re.compile(r"\s+")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption",
    "figure", "footer", "form", "header", "hr", "html", "li", "main", "ol", "p", "pre", "section", "summary", "table",
    "tbody", "thead", "tr", "ul",
))  # fmt: skip
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/<>]*)[^<>]*?(/?)>")
_NEVER_DEEP = frozenset((
    "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "option", "p",
    "source", "td", "th", "tr", "track", "wbr",
))  # fmt: skip
_MAX_DEPTH = 5_000


def _html(data: bytes) -> Loaded:
    """The visible text; headers and footers of the page go, those of an article stay."""
    from selectolax.lexbor import LexborHTMLParser

    declared = _CHARSET.search(data, 0, 1024)
    text = _decode(data, declared[1].decode("ascii") if declared else "")
    if _depth(text) > _MAX_DEPTH:
        raise InvalidInput(f"is nested more than {_MAX_DEPTH} elements deep; save it as text")
    tree = LexborHTMLParser(text)
    outline = _Outline()
    title = tree.css_first("title")
    outline.title = one_line(title.text()) if title else ""
    if tree.body is not None:
        _Page(outline).read(tree.body)
    return outline.finish()


def _depth(text: str) -> int:
    """About how deep the elements nest. The parser's time grows with its square: 7 minutes at 200,000."""
    depth = deepest = 0
    for closing, name, closed in _TAG.findall(text):
        if not closed and name.lower() not in _NEVER_DEEP:
            depth = max(0, depth - 1) if closing else depth + 1
            deepest = max(deepest, depth)
    return deepest


class _Page:
    """One walk over a page in document order, without recursion: pages may be nested as deep as they like."""

    def __init__(self, outline: _Outline) -> None:
        self._outline = outline
        self._line: list[str] = []
        self._inside = dict.fromkeys((*_ARTICLE, "pre"), 0)

    def read(self, body: LexborNode) -> None:
        node, end = body, body.mem_id
        while True:
            if self._enter(node):
                if (child := node.child) is not None:
                    node = child
                    continue
                self._leave(node)
            while node.mem_id != end and node.next is None and node.parent is not None:
                node = node.parent
                self._leave(node)
            if node.mem_id == end or node.next is None:
                return
            node = node.next

    def _enter(self, node: LexborNode) -> bool:
        """Whether to read what is inside."""
        tag = node.tag or ""
        if tag == "-text":
            text = node.text(deep=False)
            self._line.append(text if self._inside["pre"] else _SPACE.sub(" ", text))
            return False
        if tag.startswith("-") or tag in _DROPPED or "hidden" in node.attributes:
            return False
        if tag in _FURNITURE and not any(self._inside[article] for article in _ARTICLE):
            return False
        if tag in self._inside:
            self._inside[tag] += 1
        if tag == "br":
            self._line.append("\n")
        elif tag in ("td", "th") and "".join(self._line).strip():
            self._line.append(" | ")
        elif tag in _BLOCKS or tag in _HEADINGS:
            self._end_paragraph()
        return True

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag in self._inside:
            self._inside[tag] -= 1
        if tag in _HEADINGS:
            self._outline.heading(_HEADINGS[tag], "".join(self._line))
            self._line.clear()
        elif tag in _BLOCKS:
            self._end_paragraph()

    def _end_paragraph(self) -> None:
        self._outline.paragraph("".join(self._line).strip())
        self._line.clear()


# --- PDF --------------------------------------------------------------------------------------------------------------

# pypdf reads what it can of broken files and raises whatever the breakage led to.
_BREAKAGE = (ArithmeticError, AttributeError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError)
_HYPHENATED = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_A-Z])")


def _pdf(data: bytes) -> Loaded:
    import pypdf
    from pypdf.errors import DependencyError, PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it logs every oddity of every file
    try:
        reader = pypdf.PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise InvalidInput("is encrypted; remove the password and ingest it again")
        pages = [clean(page.extract_text()) for page in reader.pages]
        title = _pdf_title(reader)
    except InvalidInput:
        raise
    except DependencyError:
        raise InvalidInput("is encrypted in a way that needs the package `cryptography`; install it") from None
    except (PyPdfError, *_BREAKAGE):
        raise InvalidInput("is not a PDF that can be read; open it in a viewer and save it again") from None
    if not any(pages):
        raise InvalidInput("has no text layer; if it was scanned, run text recognition (OCR) over it first")
    outline = _Outline()
    outline.title = title
    for paragraph in _HYPHENATED.sub("", "\n".join(pages)).split("\n\n"):
        outline.paragraph(paragraph)
    return outline.finish()


def _pdf_title(reader: PdfReader) -> str:
    return one_line(str((reader.metadata and reader.metadata.title) or ""))


_LOADERS: dict[str, Callable[[bytes], Loaded]] = {
    ".txt": _text,
    ".md": _markdown,
    ".markdown": _markdown,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
}
