"""The exact search on the real ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.index import Index
from edge.store import Vectors
from tests.libraries import vectors

WIDTH = 8


def filled(counts: list[int]) -> tuple[Index, Vectors]:
    """Documents d0, d1... with so many passages, numbered through; and all vectors."""
    index, all_vectors = Index(WIDTH), vectors(sum(counts) or 1, width=WIDTH)
    start = 0
    for name, count in enumerate(counts):
        index.add([f"d{name}"] * count, range(start, start + count), all_vectors[start : start + count])
        start += count
    return index, all_vectors


def best(all_vectors: Vectors, query: Vectors, rows: list[int], k: int) -> list[float]:
    return sorted((float(all_vectors[row] @ query) for row in rows), reverse=True)[:k]


def test_an_empty_one() -> None:
    index = Index(WIDTH)
    query = vectors(1, width=WIDTH)[0]
    assert len(index) == 0
    assert index.nearest(query, 5) == []
    assert index.nearest(query, 5, ["nowhere"]) == []
    assert index.cosine_of([1], query) == {}
    index.remove(["nowhere"])
    index.reserve(0)
    index.add([], [], np.empty((0, WIDTH), np.float32))
    assert len(index) == 0


@given(
    counts=st.lists(st.integers(0, 1500), max_size=4),
    gone=st.sets(st.integers(0, 4)),
    only=st.none() | st.sets(st.integers(0, 4)),
    k=st.integers(1, 2000),
    seed=st.integers(1, 5),
)
@settings(deadline=None, max_examples=50)
def test_it_is_exact(counts: list[int], gone: set[int], only: set[int] | None, k: int, seed: int) -> None:
    index, all_vectors = filled(counts)
    index.remove([f"d{name}" for name in gone])
    owners = [name for name, count in enumerate(counts) for _ in range(count)]
    there = [row for row, owner in enumerate(owners) if owner not in gone]
    assert len(index) == len(there)
    wanted = [row for row in there if only is None or owners[row] in only]
    query = vectors(1, seed=seed, width=WIDTH)[0]
    found = index.nearest(query, k, None if only is None else [f"d{name}" for name in only])
    assert {number for number, _ in found} <= set(wanted)
    assert [cosine for _, cosine in found] == pytest.approx(best(all_vectors, query, wanted, k), abs=1e-3)
    assert index.cosine_of([number for number, _ in found], query) == pytest.approx(dict(found), abs=1e-6)


def test_many_small_documents_come_and_go() -> None:
    index, all_vectors = filled([1] * 3000)
    index.remove([f"d{name}" for name in range(0, 3000, 2)])
    assert len(index) == 1500
    index.add(["d0"], [0], all_vectors[:1])
    (number, cosine), *_ = index.nearest(all_vectors[0], 1)
    assert number == 0
    assert cosine == pytest.approx(1, abs=1e-3)
    assert index.nearest(all_vectors[2], 1)[0][0] != 2
    assert [number for number, _ in index.nearest(all_vectors[0], 5, ["d0", "d2"])] == [0]


def test_growing_copies_seldom() -> None:
    index, all_vectors = filled([1] * 2000)
    moves, place = 0, index._vectors.ctypes.data
    for number in range(2000):
        index.add([f"more{number}"], [2000 + number], all_vectors[number : number + 1])
        moves, place = moves + (index._vectors.ctypes.data != place), index._vectors.ctypes.data
    assert moves < 10


def test_equal_ones_are_all_found() -> None:
    index = Index(WIDTH)
    one = vectors(1, width=WIDTH)
    index.add(["a"] * 5, range(5), np.repeat(one, 5, axis=0))
    found = index.nearest(one[0], 5)
    assert {number for number, _ in found} == set(range(5))
    assert [cosine for _, cosine in found] == pytest.approx([1] * 5, abs=1e-3)
