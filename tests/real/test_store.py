"""The two stores alone: passages and vectors by any id, more than one statement takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.config import StoreName
from edge.store import open_store
from tests.libraries import WIDTH, document, stored, vectors


@pytest.mark.parametrize("kind", ["chroma", "sqlite"])
def test_ids_are_any_text_that_a_store_is_asked_for(kind: StoreName, tmp_path: Path) -> None:
    with open_store(kind, tmp_path, "embedder", WIDTH) as store:
        ids = [f'o\'clock "{n}" ñ%雨' for n in range(2500)]
        for start in range(0, 2500, 1250):
            some = [stored(document(one, 1))[0] for one in ids[start : start + 1250]]
            store.put(some, vectors(2500)[start : start + 1250])
        wanted = [f"{one}:0" for one in ids]
        assert set(store.read([*wanted, "none", "none:0"])) == set(wanted)
        for asked in (None, wanted):
            pages = list(store.vectors(asked))
            assert sorted(one for page, _ in pages for one in page) == sorted(wanted)
            by_id = {one: row for page, rows in pages for one, row in zip(page, rows, strict=True)}
            assert np.stack([by_id[one] for one in wanted]) == pytest.approx(vectors(2500), abs=1e-3)
        store.put([stored(document(ids[0], 1), "again")[0]], vectors(1, seed=5))
        assert store.read(wanted[:1])[wanted[0]].text.startswith("again")
        store.erase([*wanted[:2000], "none"])
        assert set(store.read(wanted)) == set(wanted[2000:])
        assert store.read([]) == {}
        assert list(store.vectors([])) == []
