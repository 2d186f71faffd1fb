"""HTML: the text that a reader sees, without what surrounds it on every page of its site."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge.ingest.cleaning import one_line
from edge.ingest.loaders.outline import Loaded, Outline
from edge.ingest.loaders.plain import decode
from edgewise.errors import InvalidInput

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_DROPPED = frozenset(("script", "style", "template", "noscript", "svg", "iframe", "head", "button", "select"))
_FURNITURE = frozenset(("header", "footer"))
_ARTICLE = ("main", "article")
# What pages call their furniture themselves, by ARIA's roles.
_DROPPED_ROLES = frozenset(("navigation", "search"))
_FURNITURE_ROLES = frozenset(("banner", "contentinfo"))
# Consent managers are known by their names. `<body class="cookie-banner-open">` and a text about cookies are not meant.
_CONSENT = re.compile(
    r"\b(?:cookies?|consent|gdpr|onetrust|cookiebot)[-_]?(?:\w+[-_])?"
    r"(?:banner|bar|notice|popup|modal|dialog|overlay|sdk|consent|law|info)\b",
    re.IGNORECASE,
)
_CONSENT_TAGS = frozenset(("div", "section", "aside", "form", "dialog"))
_LONGEST_CONSENT = 3_000  # characters of its text
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


def load(data: bytes) -> Loaded:
    """The visible text; headers and footers of the page go, those of an article stay."""
    from selectolax.lexbor import LexborHTMLParser

    declared = _CHARSET.search(data, 0, 1024)
    text = decode(data, declared[1].decode("ascii") if declared else "")
    if _depth(text) > _MAX_DEPTH:
        raise InvalidInput(f"is nested more than {_MAX_DEPTH} elements deep; save it as text")
    tree = LexborHTMLParser(text)
    outline = Outline()
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

    def __init__(self, outline: Outline) -> None:
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
        if self._is_furniture(node, tag):
            self._outline.dropped += bool(node.text().strip())
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

    def _is_furniture(self, node: LexborNode, tag: str) -> bool:
        role = (node.attributes.get("role") or "").lower()
        if tag == "nav" or role in _DROPPED_ROLES:
            return True
        if tag in _FURNITURE or role in _FURNITURE_ROLES:
            return not any(self._inside[article] for article in _ARTICLE)
        return tag in _CONSENT_TAGS and _asks_for_consent(node)

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


def _asks_for_consent(node: LexborNode) -> bool:
    named = f"{node.attributes.get('id') or ''} {node.attributes.get('class') or ''}"
    if not _CONSENT.search(named) or len(node.text()) > _LONGEST_CONSENT:
        return False
    return node.css_first("main, article, h1") is None
