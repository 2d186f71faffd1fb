"""What a file says: its title and its paragraphs, under their headings. One file a format, one line in the registry.

A loader gets bytes and either finds text or raises InvalidInput with a reason that follows "FILE: ". It never guesses:
text of unknown encoding is refused, because wrongly decoded passages would be found and believed. It refuses what
would take time or memory out of proportion to its size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePath

from edge.ingest.loaders import markdown, pdf, plain, records, tables, web, word
from edge.ingest.loaders.outline import Loaded as Loaded
from edge.ingest.loaders.outline import Section as Section
from edgewise.errors import InvalidInput

LOADERS: Mapping[str, Callable[[bytes], Loaded]] = {
    ".txt": plain.load,
    ".md": markdown.load,
    ".markdown": markdown.load,
    ".html": web.load,
    ".htm": web.load,
    ".pdf": pdf.load,
    ".docx": word.load,
    ".csv": tables.load_csv,
    ".tsv": tables.load_tsv,
    ".json": records.load_json,
    ".jsonl": records.load_jsonl,
}


def ending(source: str) -> str:
    """What says how to read a file: ".pdf" for "Notes.PDF"."""
    return PurePath(source).suffix.lower()


def load(source: str, data: bytes) -> Loaded:
    """The title and the text of a file; the ending of `source` says what it is. CPU-bound: call it on a thread."""
    kind = ending(source)
    if kind not in LOADERS:
        raise InvalidInput(f"is of an unknown type; there are loaders for {', '.join(LOADERS)}")
    if not data:
        raise InvalidInput("is empty")
    loaded = LOADERS[kind](data)
    if not loaded.sections:
        raise InvalidInput("has no text")
    return loaded if loaded.title else replace(loaded, title=PurePath(source).stem)
