"""What Chroma's index has never filled in its files is memory of the process; what it has filled stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.hnsw import clear_unused
from edge.store import Stored, open_store


@pytest.mark.parametrize("count", [3, 1100])
def test_what_is_not_filled_is_cleared_and_what_is_stays(tmp_path: Path, count: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"document:{number}" for number in range(count)]
    with open_store("chroma", tmp_path, "hash", 4) as store:
        store.put([Stored(one, "title", "text") for one in ids], vectors)
        store.scrub()
    [index] = (tmp_path / "chroma").glob("*/data_level0.bin")
    whole = index.read_bytes()
    if count < 1000:  # nothing of it was written by Chroma yet but its room
        index.write_bytes(whole[:-9] + b"forgotten")
    clear_unused(tmp_path / "chroma")
    after = index.read_bytes()
    assert len(after) == len(whole)
    assert after == (bytes(len(whole)) if count < 1000 else whole)
    with open_store("chroma", tmp_path, "hash", 4) as store:
        found = {one: vector for some, page in store.vectors() for one, vector in zip(some, page, strict=True)}
    assert sorted(found) == sorted(ids)
    assert np.allclose([found[one] for one in ids], vectors, atol=1e-6)


def test_what_is_no_such_index_is_left_alone(tmp_path: Path) -> None:
    for name, head, data in (("short", b"x", b"data"), ("other", b"\xff" * 100, b"data"), ("none", b"\0" * 100, b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "header.bin").write_bytes(head)
        (tmp_path / name / "data_level0.bin").write_bytes(data)
    clear_unused(tmp_path)
    assert (tmp_path / "short" / "data_level0.bin").read_bytes() == b"data"
    assert (tmp_path / "other" / "data_level0.bin").read_bytes() == b"data"
