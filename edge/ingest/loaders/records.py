"""Records (.json, .jsonl): an object is a paragraph of `key: value` lines, or an article if it has a text.

Nested keys are joined by dots. Nothing is left out but what is empty; keys that stand twice are both kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from edge.ingest.cleaning import clean, one_line
from edge.ingest.loaders.outline import Loaded, Outline
from edge.ingest.loaders.plain import decode
from edgewise.errors import InvalidInput

_TITLES = ("title", "headline", "heading", "subject", "name", "question")
_TEXTS = frozenset(("text", "body", "content", "article", "description", "abstract", "summary", "message", "answer"))
_LONGEST_TITLE = 200
_SHORTEST_TEXT = 200  # a text is an article from here on, or if it has paragraphs
_MAX_DEPTH = 100
_MAX_VALUES = 5_000_000  # a value takes some hundred bytes of memory

Pair = tuple[str, str]


class _Object(list[tuple[str, object]]):
    """The keys and values of an object, in order and with those that stand twice."""


def load_json(data: bytes) -> Loaded:
    """A list has one record an item. An object is one, but for its lists of objects: each of those is a section."""
    text = decode(data)
    if sum(map(text.count, "{[,")) > _MAX_VALUES:
        raise InvalidInput(f"has more than {_MAX_VALUES} values; split it, or save it as JSON Lines (.jsonl)")
    value = _parsed(text, "")
    outline = Outline()
    title = ""
    if isinstance(value, _Object):
        title = next((one for key, one in value if key.lower() in _TITLES and isinstance(one, str)), "")
        _write(outline, [_Object(pair for pair in value if not _is_list_of_objects(pair[1]))])
        for key, items in value:
            if isinstance(items, list) and _is_list_of_objects(items):
                outline.leave(0)
                outline.heading(0, key)
                _write(outline, items)
    else:
        _write(outline, value if isinstance(value, list) else [value])
    outline.title = one_line(title)
    return outline.finish()


def load_jsonl(data: bytes) -> Loaded:
    outline = Outline()
    for number, line in enumerate(decode(data).split("\n"), 1):
        if line.strip():
            _write(outline, [_parsed(line, f" in line {number}")])
    outline.title = ""  # headings are those of records
    return outline.finish()


def is_article(pairs: Sequence[Pair]) -> bool:
    return any(_is_text(*pair) for pair in pairs)


def write_article(outline: Outline, pairs: Sequence[Pair]) -> None:
    """A record with a text: its title is a heading, its texts are paragraphs, and the rest are lines below them."""
    titles = (pair for name in _TITLES for pair in pairs if pair[0].lower() == name)
    title = next((pair for pair in titles if len(pair[1]) <= _LONGEST_TITLE), None)
    outline.leave(1)
    if title:
        outline.heading(1, title[1])
    texts = [pair for pair in pairs if _is_text(*pair)]
    for _, text in texts:
        for paragraph in clean(text).split("\n\n"):
            outline.paragraph(paragraph)
    outline.record(f"{key}: {value}" for key, value in pairs if (key, value) not in (title, *texts))


def _write(outline: Outline, values: Sequence[object]) -> None:
    for value in values:
        pairs = list(_pairs("", value, 0))
        if is_article(pairs):
            write_article(outline, pairs)
        else:
            outline.leave(1)
            outline.record(f"{key}: {text}" if key else text for key, text in pairs)


def _parsed(text: str, where: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_Object)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        where = where or f" in line {error.lineno}, column {error.colno}"
        raise InvalidInput(f"is not valid JSON{where} ({error.msg}); correct it") from None
    except ValueError:
        raise InvalidInput(f"has a number{where or ' somewhere'} that is too long; write it as a string") from None


def _pairs(path: str, value: object, depth: int) -> Iterator[Pair]:
    """The values and the paths to them: `address.city`, and `items.2.name` for the second of some."""
    if depth > _MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, _Object):
        for key, one in value:
            yield from _pairs(f"{path}.{key}" if path else key, one, depth + 1)
    elif isinstance(value, list) and any(isinstance(one, list) for one in value):
        for number, one in enumerate(value, 1):
            yield from _pairs(f"{path}.{number}" if path else str(number), one, depth + 1)
    elif text := ", ".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value):
        yield path, text


def _scalar(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _is_text(key: str, value: str) -> bool:
    name = key.rpartition(".")[2].lower()
    return name in _TEXTS and (len(value) >= _SHORTEST_TEXT or "\n\n" in value)


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(one, _Object) for one in value)


def _too_deep() -> InvalidInput:
    return InvalidInput(f"is nested more than {_MAX_DEPTH} levels deep; flatten it, or save its text")
