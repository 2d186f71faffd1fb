"""Small GGUF files of all the wrong kinds; the format is in ggml's docs/gguf.md."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UINT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 4, 6, 7, 8, 9, 10
EMPTY = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
"""A sound head of no keys and no tensors."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """By default one of sixteen float32 numbers."""

    name: str = "weights"
    shape: tuple[int, ...] = (16,)
    kind: int = 0
    offset: int = 0


def build(
    values: dict[str, bytes], tensors: Sequence[Tensor] = (), *, weights: int = 0, version: int = 3, alignment: int = 32
) -> bytes:
    """A file of these keys (each with the bytes of its type and value), these tensors, and that many bytes of data."""
    content = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values))
    for key, value in values.items():
        content += _text(key) + value
    for tensor in tensors:
        shape = struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        content += _text(tensor.name) + struct.pack("<I", len(tensor.shape)) + shape
        content += struct.pack("<IQ", tensor.kind, tensor.offset)
    return content + b"\0" * (-len(content) % alignment) + bytes(weights)


def text(value: str) -> bytes:
    return struct.pack("<I", STRING) + _text(value)


def number(value: int) -> bytes:
    return struct.pack("<II", UINT32, value)


def texts(*values: str, count: int | None = None) -> bytes:
    """A list, which may claim another length."""
    length = len(values) if count is None else count
    return struct.pack("<IIQ", ARRAY, STRING, length) + b"".join(map(_text, values))


def numbers(kind: int, content: bytes, count: int) -> bytes:
    return struct.pack("<IIQ", ARRAY, kind, count) + content


def write(path: Path, **given: str) -> Path:
    """A file with texts as metadata and no tensors; `__` in a name stands for a dot."""
    path.write_bytes(build({key.replace("__", "."): text(value) for key, value in given.items()}))
    return path


def renamed(content: bytes, key: str, to: str) -> bytes:
    """The same file with a shorter key; the model's name takes the bytes that are left over, so nothing moves."""
    spare = len(key) - len(to)
    start = content.index(_text("general.name")) + len(_text("general.name")) + 4
    (length,) = struct.unpack_from("<Q", content, start)
    name = content[start + 8 : start + 8 + length].decode()
    changed = content.replace(_text(name), _text(name + "!" * spare), 1).replace(_text(key), _text(to), 1)
    assert len(changed) == len(content)
    return changed


def renumbered(path: Path, key: str, value: int, to: Path) -> Path:
    """A copy of a file in which a number of its metadata is another."""
    content = bytearray(path.read_bytes())
    start = content.index(_text(key)) + len(_text(key))
    content[start : start + 8] = number(value)
    to.write_bytes(content)
    return to


def reworded(path: Path, key: str, value: str, to: Path) -> Path:
    """A copy of a file in which a text of its metadata is another, filled up with spaces to be as long."""
    content = bytearray(path.read_bytes())
    start = content.index(_text(key)) + len(_text(key)) + 4
    (length,) = struct.unpack_from("<Q", content, start)
    assert len(value) <= length
    content[start + 8 : start + 8 + length] = value.encode().ljust(length)
    to.write_bytes(content)
    return to


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()
