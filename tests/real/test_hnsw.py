"""What an approximate search misses and the exact one does not, on made-up vectors: evenly over all directions.

Such are the hardest for a graph of neighbours (HNSW, Malkov and Yashunin 2016); those of texts lie closer together, so
the numbers that this prints (`pytest -s`) are no measure of any library of documents.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge.index import Index
from edge.store import Vectors
from tests.libraries import vectors

COUNT, WIDTH, QUERIES, K = 5000, 64, 200, 10
ROUNDING = 1e-3  # of a cosine of float16 vectors

SETTINGS = {
    "defaults": {},
    "ef_search=400": {"ef_search": 400},
    "ef_search=400 ef_construction=400": {"ef_search": 400, "ef_construction": 400},
    "as cheap as our store's": {"ef_construction": 4, "max_neighbors": 4},
}


@pytest.fixture(scope="module")
def made_up() -> Vectors:
    return vectors(COUNT, width=WIDTH)


@pytest.fixture(scope="module")
def queries() -> Vectors:
    return vectors(QUERIES, seed=1, width=WIDTH)


def recall(found: Sequence[Sequence[int]], made_up: Vectors, queries: Vectors) -> float:
    """The share of the K nearest that was found; one as near as the last of them but for rounding is as good."""
    cosines = queries @ made_up.T
    last = np.sort(cosines, axis=1)[:, -K] - ROUNDING
    return float(np.mean([(cosines[row, list(some)] >= last[row]).sum() / K for row, some in enumerate(found)]))


def exact(made_up: Vectors, queries: Vectors) -> list[list[int]]:
    index = Index(WIDTH)
    index.add(["synthetic"] * COUNT, range(COUNT), made_up)
    return [[number for number, _ in index.nearest(query, K)] for query in queries]


def approximate(directory: Path, made_up: Vectors, queries: Vectors, **settings: int) -> list[list[int]]:
    import chromadb
    from chromadb.api.client import Client
    from chromadb.api.collection_configuration import CreateCollectionConfiguration, CreateHNSWConfiguration
    from chromadb.config import Settings

    client = chromadb.PersistentClient(directory, settings=Settings(anonymized_telemetry=False))
    assert isinstance(client, Client)
    hnsw = CreateHNSWConfiguration(space="cosine", num_threads=1, **settings)  # type: ignore[typeddict-item]
    collection = client.create_collection(
        uuid.uuid4().hex,
        embedding_function=None,
        metadata={"vectors": "synthetic"},
        configuration=CreateCollectionConfiguration(hnsw=hnsw),
    )
    for start in range(0, COUNT, 1000):
        some = made_up[start : start + 1000]
        collection.add(ids=[str(start + n) for n in range(len(some))], embeddings=some)
    found = collection.query(query_embeddings=queries, n_results=K, include=[])["ids"]
    client.close()
    return [[int(one) for one in some] for some in found]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_exact_search_misses_nothing_that_hnsw_finds(
    tmp_path: Path, made_up: Vectors, queries: Vectors, name: str
) -> None:
    ours = recall(exact(made_up, queries), made_up, queries)
    theirs = recall(approximate(tmp_path, made_up, queries, **SETTINGS[name]), made_up, queries)
    print(f"\nrecall@{K} of {COUNT} synthetic vectors of {WIDTH}: exact {ours:.3f}, HNSW ({name}) {theirs:.3f}")
    assert ours == 1.0
    assert theirs <= ours
    assert theirs > 0
