"""Tables in text (.csv, .tsv): every row says itself what its values are, so that it is found by its meaning."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence

from edge.ingest.loaders.outline import Loaded, Outline
from edge.ingest.loaders.plain import decode
from edge.ingest.loaders.records import is_article, write_article
from edgewise.errors import InvalidInput

_DELIMITERS = ",;\t|"
_NONE = "\x1f"  # for a single column: the reader wants some delimiter, and text has no control characters
_SAMPLE = 20  # rows to choose a delimiter by
_LONGEST_NAME = 100
_NUMERIC = re.compile(r"[-+]?[.,:/ %€$£-]*+\d[\d.,:/ %€$£-]*+")


def load_csv(data: bytes) -> Loaded:
    """The delimiter is the one that cuts the first rows into most columns, as many in each."""
    text = decode(data)
    return _table(text, max(_NONE + _DELIMITERS, key=lambda delimiter: _columns(text, delimiter)))


def load_tsv(data: bytes) -> Loaded:
    return _table(decode(data), "\t")


def header(row: Sequence[str]) -> tuple[str, ...] | None:
    """The names of the columns, if the first row is that: all there, all different, and no numbers among them."""
    names = tuple(name.strip() for name in row)
    while names and not names[-1]:  # a delimiter at the end of every line
        names = names[:-1]
    fine = (name and len(name) <= _LONGEST_NAME and not _NUMERIC.fullmatch(name) for name in names)
    return names if len(set(names)) == len(names) and all(fine) else None


def named(names: Sequence[str], row: Sequence[str]) -> str:
    """A row in one line; what is beyond the names stays without one."""
    pairs = itertools.zip_longest(names, row, fillvalue="")
    return "; ".join(f"{name}: {value}" if name else value for name, value in pairs if value.strip())


def _table(text: str, delimiter: str) -> Loaded:
    outline = Outline()
    rows = _rows(text, delimiter)
    first = next(rows, ())
    names = header(first) if len(first) > 1 else None
    count = 0
    for row in rows if names else itertools.chain((first,), rows):
        count += 1
        pairs = [(name, value) for name, value in zip(names or (), row, strict=False) if value.strip()]
        if is_article(pairs) and names and len(row) <= len(names):
            write_article(outline, pairs)
        else:
            outline.leave(0)
            outline.line(named(names, row) if names else " | ".join(filter(str.strip, row)))
    if names and not count:
        outline.line(" | ".join(names))
    outline.title = ""  # headings are those of rows
    return outline.finish()


def _rows(text: str, delimiter: str) -> Iterator[Sequence[str]]:
    """The rows that are not empty. InvalidInput, with the line, for quotes that do not match and endless fields."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidInput(
                f"cannot be read from line {begins} on: {error}; correct that, or save it again"
            ) from None
        if any(map(str.strip, row)):
            yield row


def _columns(text: str, delimiter: str) -> tuple[float, int]:
    """How alike the first rows are in length, and how long: a delimiter that is none leaves one column."""
    try:
        lengths = [len(row) for row in itertools.islice(_rows(text, delimiter), _SAMPLE)]
    except InvalidInput:
        return (0, 0)
    usual = max(set(lengths), key=lambda length: (lengths.count(length), length), default=1)
    return (lengths.count(usual) / len(lengths), usual) if usual > 1 and lengths[0] > 1 else (0, 0)
