"""How like the question a span is, by contextual vectors of words: what an embedder knows half-way through a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.reader.page import Floats, Ints, Page, bounds, sums, unit
from edge.reader.question import QUESTION_WORDS, is_content
from edge.reader.words import kind_of, stem, words

DIMENSIONS, NEIGHBOURS = 32, 16
"""Of a word's vector, after projection: how many are used of a span and of the words beside it."""


@dataclass(frozen=True, slots=True)
class Projection:
    """Principal axes of contextual word vectors."""

    mean: Floats
    axes: Floats
    """[DIMENSIONS, width]."""

    def __call__(self, vectors: Floats) -> Floats:
        return (vectors - self.mean) @ self.axes.T


@dataclass(frozen=True, slots=True)
class WordVectors:
    """Contextual vectors of the words of a question, and of all words of a page, [words, width]."""

    asked: Floats
    page: Floats


def contextual(page: Page, of: WordVectors, projection: Projection, a: Ints, b: Ints) -> dict[str, Floats]:
    """From contextual word vectors: how like the question's words the span and its surroundings are, and where on the
    principal axes they lie."""
    tokens = [page.question[x:y] for x, y in words(page.question)]
    low = [token.lower() for token in tokens]
    kinds = [kind_of(token, opens=place == 0) for place, token in enumerate(tokens)]
    at = next((place for place, word in enumerate(low) if word in QUESTION_WORDS), 0)
    focus = [place for place, word in enumerate(low) if stem(word) in page.asked.focus]
    content = [place for place in range(len(low)) if is_content(low[place], kinds[place])]
    first, end = bounds(page, a)
    units, asked_units = unit(of.page), unit(of.asked)
    running = np.vstack((np.zeros((1, units.shape[1])), np.cumsum(units, 0)))
    span = unit((running[b] - running[a]) / np.maximum(1, b - a)[:, None])
    wanted = unit(asked_units[[at, *focus]].mean(0))
    whole = unit(of.asked.mean(0))
    sentence = unit(np.array([of.page[x:y].mean(0) for x, y in zip(page.first, page.first[1:], strict=False)]))
    to_whole = sentence @ whole
    word = span @ asked_units[at]
    single = units @ asked_units[at]
    highest = np.array([single[x:y].max() for x, y in zip(a, b, strict=True)])
    table = {
        "vector: question word": word,
        "vector: question word, relative": word - word.max(initial=-1.0),
        "vector: question word, one word, relative": highest - highest.max(initial=-1.0),
        "vector: focus": span @ asked_units[focus[-1]] if focus else np.zeros(len(a)),
        "vector: question word and focus": span @ wanted,
        "vector: question": span @ whole,
        "vector: sentence": to_whole[page.sentence[a]],
        "vector: sentence, relative": to_whole[page.sentence[a]] - to_whole.max(initial=-1.0),
        **_alignment(page, asked_units[content] @ units.T, a, b),
    }
    place, place_asked = 3 * projection(span), projection(wanted[None])[0]
    before = np.where((a > first)[:, None], 3 * projection(units[np.maximum(a - 1, 0)]), 0.0)
    after = np.where((b < end)[:, None], 3 * projection(units[np.minimum(b, len(units) - 1)]), 0.0)
    for axis in range(DIMENSIONS):
        table[f"axis {axis}: span"] = place[:, axis]
        table[f"axis {axis}: span x question"] = 6 * place[:, axis] * place_asked[axis]
    for axis in range(NEIGHBOURS):
        table[f"axis {axis}: before"] = before[:, axis]
        table[f"axis {axis}: after"] = after[:, axis]
    return table


def _alignment(page: Page, likeness: Floats, a: Ints, b: Ints) -> dict[str, Floats]:
    """Each content word of the question [row of `likeness`] has an image in the sentence: the words that mean the same
    there. How well the sentence covers them, and how far they are from the span."""
    covered, covered_rel, wide, close, inside, side = (np.zeros(len(a)) for _ in range(6))
    rows = max(1, len(likeness))
    if len(likeness) and len(a):
        ranges = list(zip(page.first, page.first[1:], strict=False))
        cover = np.array([likeness[:, x:y].max(1).mean() for x, y in ranges])
        covered, covered_rel = cover[page.sentence[a]], cover[page.sentence[a]] - cover.max()
        for number in np.unique(page.sentence[a]):
            x, y = ranges[number]
            mine = np.flatnonzero(page.sentence[a] == number)
            here = likeness[:, x:y]
            peak = here.max(1, keepdims=True)
            image = np.exp((here - peak) / 0.05)
            image = (image / image.sum(1, keepdims=True) * np.maximum(peak, 0)).sum(0)
            running = sums(image)
            start, stop, place = a[mine] - x, b[mine] - x, np.arange(y - x)
            far = np.maximum(0, np.maximum(start[:, None] - place, place - (stop[:, None] - 1)))
            outside = far > 0
            wide[mine] = np.where(outside, np.exp(-far / 6), 0.0) @ image
            close[mine] = np.where(outside, np.exp(-far / 2), 0.0) @ image
            inside[mine] = running[stop] - running[start]
            side[mine] = (running[-1] - running[stop]) - running[start]
    subject = page.asked.is_of_subject
    return {
        "image: in the sentence": covered,
        "image: in the sentence, relative": covered_rel,
        "image: near": wide / rows,
        "image: close": close / rows,
        "image: inside": inside / rows,
        "image: after it, subject asked": side / rows * subject,
        "image: after it, other asked": side / rows * (not subject),
    }


def pooled(offsets: Ints, vectors: NDArray[np.floating[Any]], spans: Sequence[tuple[int, int]]) -> Floats:
    """Vectors of words from those of an embedder's tokens; 0 for a word that no token touches."""
    if not len(offsets):
        return np.zeros((len(spans), vectors.shape[-1]))
    start = np.searchsorted(offsets[:, 1], [a for a, _ in spans], side="right")
    end = np.searchsorted(offsets[:, 0], [b for _, b in spans], side="left")
    running = np.vstack((np.zeros((1, vectors.shape[1])), np.cumsum(vectors, 0, dtype=np.float64)))
    many = np.maximum(1, end - start)[:, None]
    means: Floats = np.where((end > start)[:, None], (running[np.maximum(start, end)] - running[start]) / many, 0.0)
    return means
