"""What is given of the passages that were found: each thing said once, and with more of what surrounds it if wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from edge.holdings import Library
from edge.ranking.features import SENTENCE_END
from edge.store import place_of
from edge.terms import terms
from edgewise.types import Passage, Query, Text

_SAME = 0.9  # share of words in common (Jaccard) from which on two passages say the same


async def expanded(best: Sequence[Passage], query: Query, library: Library) -> tuple[Passage, ...]:
    """The first `query.k` distinct passages, expanded as the query wants."""
    chosen = distinct(best, query.k)
    if query.expand == "window":
        return tuple([await _with_window(passage, library) for passage in chosen])
    if query.expand == "section":
        return await _with_sections(chosen, library)
    if query.expand == "document":
        return await _documents(chosen, library)
    return chosen


def distinct(passages: Iterable[Passage], limit: int) -> tuple[Passage, ...]:
    """The first passages that do not repeat one before them, word by word or nearly so."""
    kept: list[tuple[Passage, set[str]]] = []
    for passage in passages:
        words = set(terms(passage.text.value))
        if all(len(words & others) < _SAME * len(words | others) for _, others in kept):
            kept.append((passage, words))
        if len(kept) == limit:
            break
    return tuple(passage for passage, _ in kept)


async def _with_window(passage: Passage, library: Library) -> Passage:
    """With the last sentence before it and the first one after it, of the same section."""
    document, position = place_of(passage.id)
    around = await library.passages(document, (position - 1, position + 1))
    before, after = (_of_section(around.get(place), passage) for place in (position - 1, position + 1))
    parts = (*_sentences(before)[-1:], passage.text.value, *_sentences(after)[:1])
    return passage.model_copy(update={"text": passage.text.derive("\n".join(parts))})


async def _with_sections(chosen: Sequence[Passage], library: Library) -> tuple[Passage, ...]:
    """Found passages of one section that follow each other, or have one between them, become one passage."""
    by_section: dict[tuple[str, str], list[Passage]] = {}
    for passage in chosen:
        by_section.setdefault((place_of(passage.id)[0], passage.title), []).append(passage)
    merged = [joined for group in by_section.values() for joined in await _joined(group, library)]
    return tuple(sorted(merged, key=lambda passage: passage.score, reverse=True))


async def _documents(chosen: Sequence[Passage], library: Library) -> tuple[Passage, ...]:
    """The documents of the passages, each once and whole."""
    best = {place_of(passage.id)[0]: passage for passage in reversed(chosen)}
    whole: list[Passage] = []
    for passage in chosen:
        document = place_of(passage.id)[0]
        if best[document] is passage:
            parts = await library.passages(document, range(await library.length(document)))
            text = Text.join((part.text for _, part in sorted(parts.items())), "\n\n")
            whole.append(passage.model_copy(update={"text": text}))
    return tuple(whole)


async def _joined(group: Sequence[Passage], library: Library) -> list[Passage]:
    document = place_of(group[0].id)[0]
    there = {place_of(passage.id)[1]: passage for passage in group}
    gaps = [place + 1 for place in there if place + 1 not in there and place + 2 in there]
    between = await library.passages(document, gaps) if gaps else {}
    there |= {place: passage for place, passage in between.items() if passage.title == group[0].title}
    runs = groupby(enumerate(sorted(there)), key=lambda numbered: numbered[1] - numbered[0])
    return [_one([there[place] for _, place in run]) for _, run in runs]


def _one(run: Sequence[Passage]) -> Passage:
    best = max(run, key=lambda passage: passage.score)
    return best.model_copy(update={"text": Text.join((passage.text for passage in run), "\n\n")})


def _of_section(neighbour: Passage | None, passage: Passage) -> str:
    return neighbour.text.value if neighbour and neighbour.title == passage.title else ""


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in SENTENCE_END.split(text) if part.strip()]
