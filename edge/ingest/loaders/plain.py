"""Text, and how bytes become text: by what they say of themselves, or as UTF-8. Nothing is guessed."""

from __future__ import annotations

import codecs

from edge.ingest.cleaning import clean
from edge.ingest.loaders.outline import Loaded, Outline
from edgewise.errors import InvalidInput

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decode(data: bytes, declared: str = "") -> str:
    """By its byte order mark, by what it declares, or as UTF-8; InvalidInput when it is something else."""
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), declared or "utf-8")
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        wanted = f"is not the {declared[:40]} text that it declares to be" if declared else "is not UTF-8 text"
        raise InvalidInput(f"{wanted}; save it as UTF-8") from None
    if "\0" in text:
        raise InvalidInput("is binary, not text")
    return text


def load(data: bytes) -> Loaded:
    outline = Outline()
    for paragraph in clean(decode(data)).split("\n\n"):
        outline.paragraph(paragraph)
    return outline.finish()
