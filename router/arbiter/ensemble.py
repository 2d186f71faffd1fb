"""The experts together: the predicted gain of the cloud over the edge, and what each expert says for or against it."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.errors import InvalidInput, NotFound
from router.arbiter.experts import BUCKETS, Meaning, Surface, Trees, Words
from router.arbiter.features import NAMES, surface
from router.arbiter.metrics import Floats

EXPERTS = ("words", "trees", "meaning", "surface")
_ABOUT = ("slope", "mean", "embedder", "learned_from", "questions")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Predicted:
    """`gain` is P(cloud right) - P(edge right); `parts` are what each expert adds to the mean gain."""

    gain: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Ensemble:
    """`centre` and `spread` bring the experts to one scale, `slope` brings their sum back to a gain.

    `embedder` is the hash of the model whose vectors it learned from, `learned_from` that of the graded questions.
    """

    words: Words
    trees: Trees
    meaning: Meaning
    surface: Surface
    centre: Floats
    spread: Floats
    slope: float
    mean: float
    embedder: str
    learned_from: str
    questions: int

    def of(self, question: str, vector: Floats) -> Predicted:
        """`vector` is the question's sentence embedding, of length 1."""
        return self.with_meaning(self.without_meaning(question), vector)

    def without_meaning(self, question: str) -> tuple[float, float, float]:
        """What can be said while the embedding is not there yet: of words, trees and surface."""
        seen = np.array(surface(question))
        return self.words.of(question), self.trees.of(seen), self.surface.of(seen)

    def with_meaning(self, others: tuple[float, float, float], vector: Floats) -> Predicted:
        words, trees, line = others
        said = np.array([words, trees, self.meaning.of(vector), line])
        parts = self.slope * (said - self.centre) / self.spread
        return Predicted(self.mean + float(parts.sum()), dict(zip(EXPERTS, map(float, parts), strict=True)))

    def save(self, path: Path) -> None:
        """As arrays without code: nothing that is loaded can run."""
        kept: dict[str, Any] = {"centre": self.centre, "spread": self.spread}
        for name in EXPERTS:
            expert = getattr(self, name)
            kept |= {f"{name}.{field.name}": np.asarray(getattr(expert, field.name)) for field in fields(expert)}
        known = np.flatnonzero(self.words.rarity)
        kept |= {
            "words.buckets": known,
            "words.rarity": self.words.rarity[known],
            "words.weights": self.words.weights[known],
        }
        about = {name: getattr(self, name) for name in _ABOUT}
        kept["about"] = np.array(json.dumps(about | {"format": _FORMAT, "features": NAMES}))
        with path.open("wb") as file:
            np.savez_compressed(file, **kept)

    @classmethod
    def load(cls, path: Path, embedder: str) -> Ensemble:
        """NotFound, or InvalidInput for what is no such file or learned from the vectors of another embedder."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                about = dict(json.loads(str(kept["about"])))
                arrays = {name: kept[name] for name in kept.files if name != "about"}
            if about["format"] == _FORMAT and tuple(about["features"]) == NAMES and about["embedder"] == embedder:
                return _restored(about, arrays)
        except FileNotFoundError:
            raise NotFound(f"there is no trained router at {path}; train one") from None
        except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error):
            raise InvalidInput(f"{path} is no trained router, or is damaged; train it again") from None
        what = "with another embedder" if about["embedder"] != embedder else "by another version"
        raise InvalidInput(f"{path} was trained {what}; train it again")


def _restored(about: dict[str, Any], arrays: dict[str, Any]) -> Ensemble:
    return Ensemble(
        words=_words(arrays),
        trees=Trees(**_of("trees", arrays)),
        meaning=Meaning(**_of("meaning", arrays)),
        surface=Surface(**_of("surface", arrays)),
        centre=arrays["centre"],
        spread=arrays["spread"],
        **{name: about[name] for name in _ABOUT},
    )


def _words(arrays: dict[str, Any]) -> Words:
    whole = {name: np.zeros(BUCKETS) for name in ("rarity", "weights")}
    for name, values in whole.items():
        values[arrays["words.buckets"]] = arrays[f"words.{name}"]
    return Words(**whole, bias=float(arrays["words.bias"]))


def _of(name: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """The fields of an expert: arrays, and numbers where they have no dimension."""
    found = {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}
    return {key: array.item() if array.ndim == 0 else array for key, array in found.items()}
