"""The head of a GGUF file, read by our own code before llama.cpp reads it: does it say only what the file can hold?

The format is in ggml's docs/gguf.md. What counts and lengths say is held against the size of the file and the limits
below before anything is read, so a hostile number costs neither memory nor time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from edgewise.errors import NotReady

MAX_BYTES = 128 << 20
"""Of everything before the weights; the largest vocabularies take about 15 MB."""
MAX_KEYS = MAX_TENSORS = 65_536
MAX_TEXTS = 2_000_000
"""In all lists together: a vocabulary of 262,144 words and its merges are a third of that."""
_MAX_NAME_BYTES = 65_535
_MAX_TENSOR_NAME_BYTES = 63
_MAX_DIMENSIONS = 4
_MAX_ALIGNMENT = 1 << 16
_MAX_OFFSET = (1 << 63) - 1

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _BOOL, _TEXT, _LIST = 4, 7, 8, 9

WEIGHT_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18), 42: (64, 18),
}  # fmt: skip
"""Of the types that this llama.cpp has: how many weights are one block, and its bytes."""


class Malformed(Exception):
    """What is wrong with a head, in words."""


def check(path: Path) -> None:
    """NotReady, with what is wrong and what to do, unless the head of the file is sound."""
    try:
        check_head(path)
    except Malformed as fault:
        raise NotReady(
            f"{path} is cut off or damaged; fetch it again, and compare it with its hash: `edgewise models verify` "
            f"({fault})"
        ) from None
    except OSError as error:
        raise NotReady(f"{path} cannot be read: {error.strerror}; check the setting edge.model") from None


def check_head(path: Path) -> None:
    """Malformed unless the head of the file is sound; OSError if it cannot be read."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        _check(_Reader(stream, size, min(size, MAX_BYTES)))


@dataclass
class _Reader:
    """Takes what is asked for, after a look at whether it can be there at all."""

    stream: BinaryIO
    size: int
    limit: int
    at: int = 0
    texts: int = 0
    alignment: int = 32
    names: set[bytes] = field(default_factory=set)

    def take(self, count: int, what: str) -> bytes:
        self.expect(count, what)
        found = self.stream.read(count)
        if len(found) != count:
            raise Malformed(f"the file ends inside {what}")
        self.at += count
        return found

    def skip(self, count: int, what: str) -> None:
        self.expect(count, what)
        self.stream.seek(count, os.SEEK_CUR)
        self.at += count

    def expect(self, count: int, what: str) -> None:
        if count > self.limit - self.at:
            end = f"the file ends, at {self.size} bytes" if self.limit == self.size else f"byte {MAX_BYTES}"
            raise Malformed(f"{what} takes {count} bytes at byte {self.at}, which is beyond where {end}")

    def number(self, width: int, what: str) -> int:
        return int.from_bytes(self.take(width, what), "little")

    def count(self, least_bytes: int, at_most: int, what: str) -> int:
        """How many of something come, each of at least that size."""
        count = self.number(8, what)
        if count > at_most:
            raise Malformed(f"{what} is {count}, and at most {at_most} make sense")
        self.expect(count * least_bytes, what)
        return count

    def name(self, what: str, at_most: int) -> bytes:
        """Of which there is one only."""
        length = self.number(8, what)
        if not 0 < length <= at_most:
            raise Malformed(f"{what} has {length} bytes instead of 1 to {at_most}")
        name = self.take(length, what)
        if name in self.names:
            raise Malformed(f"{_shown(name)} is there twice")
        self.names.add(name)
        return name

    def text(self, what: str) -> None:
        self.texts += 1
        if self.texts > MAX_TEXTS:
            raise Malformed(f"there are more than {MAX_TEXTS} texts")
        self.skip(self.number(8, what), what)


def _check(reader: _Reader) -> None:
    if reader.take(4, "the magic number") != b"GGUF":
        raise Malformed("it does not begin with GGUF")
    version = reader.number(4, "the version")
    if version not in {2, 3}:
        raise Malformed(f"its version is {version}, and 2 and 3 are known; a file for big-endian machines is another")
    # A tensor is at least a name of a letter, its dimensions, type and offset; a key a letter, a type and a byte.
    tensors = reader.count(8 + 1 + 4 + 4 + 8, MAX_TENSORS, "the number of tensors")
    keys = reader.count(8 + 1 + 4 + 1, MAX_KEYS, "the number of keys")
    for _ in range(keys):
        _check_value(reader)
    reader.names.clear()
    ends = [_tensor(reader) for _ in range(tensors)]
    _check_places(reader, ends)


def _check_value(reader: _Reader) -> None:
    key = reader.name("a key", _MAX_NAME_BYTES)
    what = f"the value of {_shown(key)}"
    kind = reader.number(4, what)
    if key == b"general.alignment":
        _check_alignment(reader, kind, what)
    elif kind == _TEXT:
        reader.text(what)
    elif kind == _LIST:
        _check_list(reader, what)
    elif kind in _WIDTHS:
        _check_bools(reader, what, 1) if kind == _BOOL else reader.skip(_WIDTHS[kind], what)
    else:
        raise Malformed(f"{what} has the type {kind}, which does not exist")


def _check_alignment(reader: _Reader, kind: int, what: str) -> None:
    if kind != _UINT32:
        raise Malformed(f"{what} is no 32-bit number")
    reader.alignment = reader.number(4, what)
    if not 0 < reader.alignment <= _MAX_ALIGNMENT or reader.alignment & (reader.alignment - 1):
        raise Malformed(f"{what} is {reader.alignment}, which is no power of two up to {_MAX_ALIGNMENT}")


def _check_list(reader: _Reader, what: str) -> None:
    kind = reader.number(4, what)
    if kind == _TEXT:
        for _ in range(reader.count(8, MAX_TEXTS, f"the length of {what}")):
            reader.text(what)
    elif kind in _WIDTHS:
        at_most = MAX_TEXTS if kind == _BOOL else MAX_BYTES
        count = reader.count(_WIDTHS[kind], at_most, f"the length of {what}")
        _check_bools(reader, what, count) if kind == _BOOL else reader.skip(count * _WIDTHS[kind], what)
    else:  # of lists, too: nothing that llama.cpp reads has them
        raise Malformed(f"{what} is a list of the type {kind}, which it cannot be")


def _check_bools(reader: _Reader, what: str, count: int) -> None:
    if reader.take(count, what).strip(b"\0\1"):
        raise Malformed(f"{what} is neither true nor false")


def _tensor(reader: _Reader) -> tuple[str, int, int]:
    """Its name, where its data is said to begin, and how many bytes those are."""
    name = _shown(reader.name("the name of a tensor", _MAX_TENSOR_NAME_BYTES))
    dimensions = reader.number(4, f"the shape of {name}")
    if dimensions > _MAX_DIMENSIONS:
        raise Malformed(f"{name} has {dimensions} dimensions, and {_MAX_DIMENSIONS} is the most")
    shape = [reader.number(8, f"the shape of {name}") for _ in range(dimensions)]
    kind = reader.number(4, f"the type of {name}")
    if kind not in WEIGHT_TYPES:
        raise Malformed(f"{name} has the type {kind}, which this llama.cpp does not know; is the file newer than it?")
    block, block_bytes = WEIGHT_TYPES[kind]
    weights = 1
    for length in shape:
        weights *= length
        if not 0 < weights <= _MAX_OFFSET // block_bytes:
            raise Malformed(f"{name} has the shape {shape}, which no file holds")
    row = shape[0] if shape else 1
    if row % block:
        raise Malformed(f"{name} has rows of {row} weights, which are no whole blocks of {block}")
    offset = reader.number(8, f"the place of {name}")
    return name, offset, weights // block * block_bytes


def _check_places(reader: _Reader, tensors: list[tuple[str, int, int]]) -> None:
    """One tensor comes after the other, and the last one ends where the file does or before."""
    start, expected = _aligned(reader.at, reader.alignment), 0
    for name, offset, length in tensors:
        if offset != expected:
            raise Malformed(f"{name} is said to be at byte {offset} of the weights, where its turn comes at {expected}")
        if start + offset + length > reader.size:
            raise Malformed(f"{name} would end at byte {start + offset + length}, not within the file bounds")
        expected += _aligned(length, reader.alignment)


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def _shown(name: bytes) -> str:
    """As it may stand in a terminal."""
    return ascii(name[:60].decode(errors="replace"))
