"""What the head of a GGUF file may say, and what our reader makes of it before llama.cpp sees the file."""

from __future__ import annotations

import ctypes
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import models
from edge.models import gguf_header
from edge.models.gguf_header import Malformed, check_head
from edgewise.errors import NotReady
from tests import ggufs
from tests.ggufs import Tensor

HUGE = (1 << 64) - 1
SOUND = ggufs.build(
    {
        "general.architecture": ggufs.text("llama"),
        "general.alignment": ggufs.number(32),
        "tokenizer.ggml.tokens": ggufs.texts("a", "b", "词"),
        "tokenizer.ggml.scores": ggufs.numbers(ggufs.FLOAT32, struct.pack("<3f", 1, 2, 3), 3),
        "tokenizer.ggml.add_bos_token": struct.pack("<IB", ggufs.BOOL, 1),
    },
    [Tensor("one"), Tensor("two", (32, 3), 2, 64), Tensor("three", (), 0, 128)],
    weights=132,
)


def checked(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.gguf"
    path.write_bytes(content)
    check_head(path)


def test_what_is_sound_passes(tmp_path: Path) -> None:
    for content in (SOUND, ggufs.EMPTY, ggufs.EMPTY + b"something else", ggufs.build({}, version=2)):
        checked(tmp_path, content)
    gguf_header.check(models.SMOLLM2.path)


WRONG: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "magic"),
    "another format": (b"PK\3\4" * 10, "begin with GGUF"),
    "version 1": (ggufs.build({}, version=1), "version is 1"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "no counts": (ggufs.EMPTY[:12], "takes 8 bytes"),
    "absurdly many tensors": (b"GGUF" + struct.pack("<IQQ", 3, HUGE, 0), "number of tensors is"),
    "absurdly many keys": (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 63), "number of keys is"),
    "more keys than bytes": (b"GGUF" + struct.pack("<IQQ", 3, 0, 60_000), "beyond where the file ends"),
    "a key without a name": (ggufs.build({"": ggufs.number(1)}), "0 bytes instead of"),
    "a long key": (ggufs.build({"k" * 70_000: ggufs.number(1)}), "70000 bytes instead of"),
    "a value of no type": (ggufs.build({"k": struct.pack("<IQQ", 13, 0, 0)}), "type 13"),
    "a text without end": (ggufs.build({"k": struct.pack("<IQ", ggufs.STRING, HUGE)}), "beyond where"),
    "a list without end": (ggufs.build({"k": ggufs.texts("a", count=HUGE)}), "is 18446744073709551615"),
    "a list of more than there is": (ggufs.build({"k": ggufs.texts("a", count=1000)}), "beyond where"),
    "many numbers": (ggufs.build({"k": ggufs.numbers(ggufs.UINT64, b"", 1 << 24)}), "beyond where"),
    "lists in lists": (
        ggufs.build({"k": struct.pack("<I", ggufs.ARRAY) + ggufs.numbers(ggufs.ARRAY, bytes(200), 1)}),
        "list of the type 9",
    ),
    "a truth of 2": (ggufs.build({"k": struct.pack("<IB", ggufs.BOOL, 2) + bytes(9)}), "neither true nor false"),
    "an alignment of 0": (ggufs.build({"general.alignment": ggufs.number(0)}), "power of two"),
    "an alignment of 48": (ggufs.build({"general.alignment": ggufs.number(48)}), "power of two"),
    "a huge alignment": (ggufs.build({"general.alignment": ggufs.number(1 << 31)}), "power of two"),
    "an alignment in words": (ggufs.build({"general.alignment": ggufs.text("32")}), "no 32-bit number"),
    "a tensor without a name": (ggufs.build({}, [Tensor("")], weights=64), "0 bytes instead of"),
    "a long name": (ggufs.build({}, [Tensor("t" * 64)], weights=64), "64 bytes instead of 1 to 63"),
    "five dimensions": (ggufs.build({}, [Tensor(shape=(1,) * 5)], weights=64), "5 dimensions"),
    "too many weights": (ggufs.build({}, [Tensor(shape=(1 << 32, 1 << 32))], weights=64), "no file holds"),
    "no weights": (ggufs.build({}, [Tensor(shape=(16, 0))], weights=64), "no file holds"),
    "a negative dimension": (ggufs.build({}, [Tensor(shape=(HUGE,))], weights=64), "no file holds"),
    "weights of no type": (ggufs.build({}, [Tensor(kind=4)], weights=64), "type 4"),
    "half a block": (ggufs.build({}, [Tensor(shape=(16,), kind=2)], weights=64), "no whole blocks"),
    "a place elsewhere": (ggufs.build({}, [Tensor(offset=1 << 40)], weights=64), "its turn comes at 0"),
    "two in one place": (ggufs.build({}, [Tensor("a"), Tensor("b")], weights=128), "its turn comes at 64"),
    "two of one name": (ggufs.build({}, [Tensor(), Tensor(offset=64)], weights=128), "is there twice"),
    "weights that end too early": (ggufs.build({}, [Tensor()], weights=63), "not within the file bounds"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, kind: str) -> None:
    content, words = WRONG[kind]
    with pytest.raises(Malformed, match=words):
        checked(tmp_path, content)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    twice = ggufs.build({"aaa": ggufs.number(1), "bbb": ggufs.number(2)}).replace(b"bbb", b"aaa")
    with pytest.raises(Malformed, match="'aaa' is there twice"):
        checked(tmp_path, twice)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_head_does_harm(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Cut, overwritten, or given other numbers, a head is accepted or refused in a line, in little memory."""
    content = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(("byte", "number", "cut", "insert", "again"))):
            case "byte":
                content[place] = data.draw(st.integers(0, 255))
            case "number":
                value = data.draw(st.sampled_from((0, 1, 8, 9, 1 << 31, 1 << 32, 1 << 62, 1 << 63, HUGE)))
                content[place : place + 8] = struct.pack("<Q", value)
            case "cut":
                del content[place + 1 :]
            case "insert":
                content[place:place] = data.draw(st.binary(max_size=16))
            case "again":
                content += content[place:]
    tracemalloc.start()
    words = ""
    try:
        checked(tmp_path_factory.getbasetemp(), bytes(content))
    except Malformed as fault:
        words = str(fault)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2_000_000
    assert not words or words.isprintable()
    assert len(words) < 300


def test_a_file_that_is_full_of_holes_costs_no_memory(tmp_path: Path) -> None:
    """It may have any size, so the size of the file is no limit to what a head may claim."""
    path = tmp_path / "holes.gguf"
    for head in (ggufs.texts(count=HUGE), ggufs.numbers(ggufs.UINT64, b"", 1 << 36), ggufs.numbers(7, b"", 1 << 30)):
        path.write_bytes(ggufs.build({"k": head}))
        with path.open("r+b") as file:
            file.truncate(1 << 40)
        tracemalloc.start()
        try:
            with pytest.raises(Malformed):
                check_head(path)
            assert tracemalloc.get_traced_memory()[1] < 2_000_000
        finally:
            tracemalloc.stop()


def test_the_types_of_weights_are_those_of_this_llama_cpp() -> None:
    from llama_cpp._ggml import libggml

    libggml.ggml_type_size.restype = ctypes.c_size_t
    libggml.ggml_blck_size.restype = ctypes.c_int64
    for kind, sizes in gguf_header.WEIGHT_TYPES.items():
        assert (libggml.ggml_blck_size(kind), libggml.ggml_type_size(kind)) == sizes, kind
    removed = {kind for kind in range(max(gguf_header.WEIGHT_TYPES)) if not libggml.ggml_blck_size(kind)}
    assert removed.isdisjoint(gguf_header.WEIGHT_TYPES)
    assert removed | gguf_header.WEIGHT_TYPES.keys() == set(range(max(gguf_header.WEIGHT_TYPES) + 1))


def test_a_user_hears_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(SOUND[:-1])
    with pytest.raises(NotReady, match=r"fetch it again.*edgewise models verify"):
        gguf_header.check(path)
    with pytest.raises(NotReady, match="cannot be read: No such file"):
        gguf_header.check(tmp_path / "none.gguf")
