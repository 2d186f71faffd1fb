"""The files of Chroma's index: what it never filled in them is memory of the process, and may hold anything.

hnswlib writes a new index whole, room for elements to come included, which nobody has set to anything: passages that
somebody has deleted were found there. The head of such an index is `header.bin` (hnswlib's `saveIndex`, as Chroma has
it): a version, the offset of the lowest level, for how many elements there is room, how many there are, and the size of
one.
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEAD = struct.Struct("<i4Q")
_LENGTH = 4  # bytes of an element in length.bin, a float


def clear_unused(directory: Path) -> None:
    """Zeros in the room that the indexes below a directory have left. Nobody may have them open; OSError."""
    for head in directory.glob("*/header.bin"):
        with head.open("rb") as file:
            start = file.read(_HEAD.size)
        if len(start) < _HEAD.size:
            continue
        _, _, room, count, size = _HEAD.unpack(start)
        for name, each in (("data_level0.bin", size), ("length.bin", _LENGTH)):
            _clear(head.with_name(name), count * each, room * each)


def _clear(path: Path, start: int, most: int) -> None:
    """From what is filled to the end. Of a file that is larger than its head says nothing is known."""
    end = path.stat().st_size if path.exists() else 0
    if start < end <= most:
        with path.open("r+b") as file:
            file.seek(start)
            left = end - start
            while left:
                left -= file.write(bytes(min(left, 1 << 20)))
