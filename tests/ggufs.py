"""Small GGUF files of all the wrong kinds; the format is in ggml's docs/gguf.md."""

from __future__ import annotations

import struct
from pathlib import Path

_STRING = 8


def write(path: Path, **texts: str) -> Path:
    """A file with metadata and no tensors; `__` in a name stands for a dot."""
    content = b"GGUF" + struct.pack("<IQQ", 3, 0, len(texts))
    for key, text in texts.items():
        content += _text(key.replace("__", ".")) + struct.pack("<I", _STRING) + _text(text)
    path.write_bytes(content + b"\0" * (-len(content) % 32))
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


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()
