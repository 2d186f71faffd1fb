"""The candidates for a short answer in the best sentences, with what speaks for each in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.reader.form import fit_of_type, form
from edge.reader.page import Floats, Ints, Page, candidates
from edge.reader.relevance import Matches, Relevance, overlap
from edge.reader.vectors import Projection, WordVectors, contextual

_POOL = 6  # sentences whose spans are candidates


@dataclass(frozen=True, slots=True)
class Scene:
    """Sentences by how much they matter, and the candidates [n] of the best ones with features [n, names].

    A candidate is the words of the page from its start to before its end.
    """

    page: Page
    relevance: Floats
    starts: Ints
    ends: Ints
    names: tuple[str, ...]
    features: Floats


def look(
    page: Page, near: Floats, word_vectors: WordVectors | None = None, projection: Projection | None = None
) -> Scene:
    """`near` is the cosine of each sentence to the question; without word vectors those features are missing."""
    matches = Matches(page)
    relevance = Relevance(page, matches, near)
    best = np.argsort(-relevance.score, kind="stable")[:_POOL].tolist()
    starts, ends = candidates(page, sorted(best))
    table = {
        **relevance.features(page.sentence[starts]),
        **overlap(page, matches, starts, ends),
        **form(page, starts, ends),
        **fit_of_type(page, starts, ends),
    }
    if word_vectors is not None and projection is not None:
        table |= contextual(page, word_vectors, projection, starts, ends)
    features = np.stack(list(table.values()), axis=1) if len(starts) else np.zeros((0, len(table)))
    return Scene(page, relevance.score, starts, ends, tuple(table), features)
