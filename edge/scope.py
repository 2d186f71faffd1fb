"""What a search is narrowed to, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search is narrowed to: documents of these collections, and this source or what lies under it."""

    collections: tuple[str, ...] = ()
    source: str = ""

    @property
    def is_all(self) -> bool:
        return not self.collections and not self.source


@dataclass(frozen=True, slots=True)
class Match:
    """A passage by its number, and how well it matches: a cosine or a BM25."""

    number: int
    score: float
