"""Is an Office file what it seems? Looked at before anything parses it, with memory that its size does not change."""

from __future__ import annotations

import zipfile
import zlib
from io import BytesIO
from typing import IO
from xml.parsers import expat

from edgewise.errors import InvalidInput

_OLD = b"\xd0\xcf\x11\xe0"  # an OLE container: an old .doc, or a new document behind a password
_MAX_MEMBERS = 5_000
_MAX_BYTES = 256 * 1024 * 1024  # unpacked; pictures are most of it, and do not shrink much
_MAX_XML_BYTES = 32 * 1024 * 1024  # a page has some 10 kB of XML, which take ten times as much when parsed
_MAX_RATIO = 100  # XML shrinks to a tenth, seldom to a fiftieth; zeros shrink to a thousandth
_SMALL = 1024 * 1024  # below this, nobody cares about the ratio
_PIECE = 64 * 1024


def check_archive(data: bytes, kind: str) -> None:
    """InvalidInput when some bytes are no zip archive, a bomb, encrypted, damaged, or have XML with a DTD.

    Without a DTD there are no entities, neither ones that multiply nor ones that name other files.
    """
    if data.startswith(_OLD):
        raise InvalidInput(f"is encrypted or of an older format; save it as a {kind} without a password")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            _check_size(members, len(data))
            xml_bytes = 0
            for member in members:
                with archive.open(member) as file:
                    xml_bytes += member.file_size if _is_xml(file, member.filename) else 0
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError):
        raise InvalidInput(f"is not a {kind} that can be read; open it where it was made and save it again") from None
    if xml_bytes > _MAX_XML_BYTES:
        raise _too_much(len(members), xml_bytes)


def _check_size(members: list[zipfile.ZipInfo], packed: int) -> None:
    unpacked = sum(member.file_size for member in members)
    if len(members) > _MAX_MEMBERS or unpacked > _MAX_BYTES or unpacked > max(_SMALL, _MAX_RATIO * packed):
        raise _too_much(len(members), unpacked)


def _too_much(members: int, unpacked: int) -> InvalidInput:
    return InvalidInput(
        f"unpacks to {members} parts with {unpacked} bytes, more than a document needs; split it, or save its text"
    )


def _is_xml(file: IO[bytes], name: str) -> bool:
    """Reads all of it, a piece at a time: a member that is longer than it says ends with a wrong checksum.

    Names say little: what is parsed as XML is what the package declares so.
    """
    piece = file.read(_PIECE)
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse
    begun: list[str] = []
    parser.StartElementHandler = lambda tag, _: begun.append(tag)
    try:
        while piece:
            if not begun:
                parser.Parse(piece)
            piece = file.read(_PIECE)
    except expat.ExpatError:
        if name.lower().endswith((".xml", ".rels")):
            raise InvalidInput(
                f"has damaged XML ({name[:100]!r}); open it where it was made and save it again"
            ) from None
        while file.read(_PIECE):
            pass
    return bool(begun)


def _refuse(*_: object) -> None:
    """The handler of a DTD."""
    raise InvalidInput("has XML with a DTD, which no document needs and which may name other files; save it again")
