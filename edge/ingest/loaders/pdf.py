"""PDF, with pypdf. Its own limits bound what one stream may decompress to; the rest is bounded here."""

from __future__ import annotations

import logging
import re
import time
from io import BytesIO
from typing import TYPE_CHECKING

from edge.ingest.cleaning import clean, one_line, without_furniture
from edge.ingest.loaders.outline import Loaded, Outline
from edgewise.errors import InvalidInput

if TYPE_CHECKING:
    from pypdf import PdfReader

# pypdf reads what it can of broken files and raises whatever the breakage led to.
_BREAKAGE = (ArithmeticError, AttributeError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError)
_HYPHENATED = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_A-Z])")

_MAX_STREAM_BYTES = 16 * 1024 * 1024  # decompressed; the text of a page rarely has 100 kB
_MAX_STREAM_PARTS = 500_000  # operators and operands of a page, a kilobyte of memory each
_MAX_FORMS = 5_000  # and pictures, of a page
_MAX_PAGES = 20_000
_MAX_CHARACTERS = 64 * 1024 * 1024
# A page takes some 50 ms, and has some 3 kB. Small files that take long are made to.
_SECONDS = 30
_BYTES_A_SECOND = 5_000
_MAX_SECONDS = 600
_ADVICE = "print it to a new PDF, or save its text"


def load(data: bytes) -> Loaded:
    import pypdf
    from pypdf.errors import DependencyError, LimitReachedError, PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it logs every oddity of every file
    limits = pypdf.apply_configuration(
        zlib_maximum_output_length=_MAX_STREAM_BYTES,
        lzw_maximum_output_length=_MAX_STREAM_BYTES,
        run_length_maximum_output_length=_MAX_STREAM_BYTES,
        brotli_maximum_output_length=_MAX_STREAM_BYTES,
        array_based_stream_maximum_output_length=_MAX_STREAM_BYTES,
        stream_parsing_work_maximum_count=_MAX_STREAM_PARTS,
        xform_maximum_invocations_per_extraction=_MAX_FORMS + 1,
        page_tree_maximum_entries=2 * _MAX_PAGES,
        jbig2dec_binary=None,  # a program; pictures are not read
    )
    try:
        with limits:
            reader = pypdf.PdfReader(BytesIO(data))
            if reader.is_encrypted and not reader.decrypt(""):
                raise InvalidInput("is encrypted; remove the password and ingest it again")
            pages = _pages(reader, min(_SECONDS + len(data) / _BYTES_A_SECOND, _MAX_SECONDS))
            title = one_line(str((reader.metadata and reader.metadata.title) or ""))
    except InvalidInput:
        raise
    except DependencyError:
        raise InvalidInput("is encrypted in a way that needs the package `cryptography`; install it") from None
    except LimitReachedError:
        raise InvalidInput(f"unpacks to more than a text can need; {_ADVICE}") from None
    except (PyPdfError, *_BREAKAGE):
        raise InvalidInput("is not a PDF that can be read; open it in a viewer and save it again") from None
    return _outlined(pages, title)


class _TooMuch(MemoryError):
    """What a page raises to be left. pypdf swallows every other error inside a form, and goes on without the form."""


def _pages(reader: PdfReader, seconds: float) -> list[str]:
    end = time.monotonic() + seconds
    pages: list[str] = []
    drawn = 0

    def each_operator(operator: bytes = b"", *_: object) -> None:
        nonlocal drawn
        drawn += operator == b"Do"
        if drawn > _MAX_FORMS or time.monotonic() > end:
            raise _TooMuch

    characters = 0
    for page in reader.pages:
        drawn = 0
        try:
            each_operator()
            pages.append(clean(page.extract_text(visitor_operand_before=each_operator)))
        except _TooMuch:
            number = len(pages) + 1
            raise InvalidInput(f"unpacks to more than can be read in time (to page {number}); {_ADVICE}") from None
        characters += len(pages[-1])
        if len(pages) > _MAX_PAGES or characters > _MAX_CHARACTERS:
            raise InvalidInput(f"has more than {_MAX_PAGES} pages, or the text of as many; split it")
    return pages


def _outlined(pages: list[str], title: str) -> Loaded:
    if not any(pages):
        raise InvalidInput("has no text layer; if it was scanned, run text recognition (OCR) over it first")
    pages, dropped = without_furniture(pages)
    outline = Outline()
    outline.title, outline.dropped = title, dropped
    for paragraph in _HYPHENATED.sub("", "\n".join(pages)).split("\n\n"):
        outline.paragraph(paragraph)
    return outline.finish()
