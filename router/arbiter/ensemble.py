"""The experts together: what they expect of a question or an answer, and what each of them says for or against it."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.errors import InvalidInput, NotFound
from edgewise.scripts import share_outside_latin
from router.arbiter import calibration, experts
from router.arbiter.calibration import Calibration, Slope
from router.arbiter.experts import Expert, Line, Look, Meaning
from router.arbiter.features import LOOKED_AT
from router.arbiter.metrics import Floats

_FORMAT = 3
# What reading a damaged archive ends in, as flipping its bits has shown.
_DAMAGE = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError, RuntimeError, MemoryError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_NARROW = "landmarks"


@dataclass(frozen=True, slots=True)
class About:
    """What a trained ensemble is for and from: `kind` is `gain` or `trust`, `features` are the names of what is seen.

    `groups` are those of `answers.py`, for trust. `embedder` is the hash of the model whose vectors it learned from,
    `learned_from` that of the graded questions, `pair` says whose answers were graded.
    """

    kind: str
    features: tuple[str, ...]
    embedder: str
    learned_from: str
    questions: int
    groups: tuple[str, ...] = ()
    pair: str = ""


@dataclass(frozen=True, slots=True)
class Domain:
    """How far from what was learned from a question may be: less than one in a hundred of those was farther."""

    least_near: float
    most_foreign: float


@dataclass(frozen=True, slots=True)
class Begun:
    """What could be said without the embedding: what each expert adds to the score, 0 for the one that waits for it.

    That one adds `factor` times what it says above `centre`.
    """

    scores: dict[str, float]
    total: float
    factor: float
    centre: float
    familiar: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """`value` is the gain P(cloud right) - P(edge right), or the probability that an answer is right.

    What is not `familiar` is unlike all that was learned from: the value is no more than a guess.
    """

    value: float
    familiar: bool
    begun: Begun
    meaning: float
    scale: float

    @property
    def parts(self) -> dict[str, float]:
        """What each expert adds: to the gain, or to the score behind a probability."""
        scores = self.begun.scores | ({"meaning": self.meaning} if "meaning" in self.begun.scores else {})
        return {name: score * self.scale for name, score in scores.items()}


@dataclass(frozen=True, slots=True)
class Ensemble:
    """`centre` and `spread` bring the experts to one scale, [experts], `weights` say how much each counts.

    `held_out` is [graded, 2]: what was expected of each graded question by weights that had not seen it, and what
    came true.
    """

    experts: Mapping[str, Expert]
    centre: Floats
    spread: Floats
    weights: Floats
    calibration: Calibration
    domain: Domain
    held_out: Floats
    about: About

    def of(self, text: str, seen: Floats, vector: Floats) -> Expected:
        """`vector` is a sentence embedding of length 1; an empty one is unknown, and `meaning` keeps quiet."""
        return self.finish(self.begin(text, seen), vector)

    def begin(self, text: str, seen: Floats) -> Begun:
        look = Look(text[:LOOKED_AT], seen, np.empty(0))
        factors, centres = (self.weights / self.spread).tolist(), self.centre.tolist()
        scores: dict[str, float] = {}
        waits = (0.0, 0.0)
        for (name, expert), factor, centre in zip(self.experts.items(), factors, centres, strict=True):
            scores[name] = 0.0 if name == "meaning" else factor * (expert.of(look) - centre)
            waits = (factor, centre) if name == "meaning" else waits
        familiar = share_outside_latin(look.text) <= self.domain.most_foreign
        return Begun(scores, sum(scores.values()), *waits, familiar)

    def finish(self, begun: Begun, vector: Floats) -> Expected:
        """Little is left to do here, as somebody waits for it."""
        meaning, score, familiar = self.experts.get("meaning"), 0.0, begun.familiar
        if isinstance(meaning, Meaning) and len(vector):
            says, nearest = meaning.looked_up(vector)
            score = begun.factor * (says - begun.centre)
            familiar = familiar and nearest >= self.domain.least_near
        return Expected(self.calibration.of(begun.total + score), familiar, begun, score, self._scale)

    @property
    def _scale(self) -> float:
        """From the score to the value, where it is a straight line."""
        return self.calibration.slope if isinstance(self.calibration, Slope) else 1.0

    def strongest(self, seen: Floats, count: int) -> dict[str, float]:
        """The features that add most to what `line` says, or take most away, as far as it counts."""
        place = list(self.experts).index("line")
        line = self.experts["line"]
        assert isinstance(line, Line)
        adds = line.adds(seen) * self._scale * self.weights[place] / self.spread[place]
        return {self.about.features[at]: float(adds[at]) for at in np.argsort(-np.abs(adds))[:count]}

    def check(self, features: tuple[str, ...], path: Path) -> None:
        """InvalidInput if it learned from other features than are seen now."""
        if self.about.features != features:
            raise InvalidInput(f"{path} was trained by another version; {_again(self.about.kind)}")

    @property
    def version(self) -> str:
        return f"{self.about.kind}-{self.about.learned_from[:12]}"

    def save(self, path: Path) -> None:
        """As arrays without code: nothing that is loaded can run. In the place of an earlier one only when whole."""
        kept: dict[str, Any] = {name: getattr(self, name) for name in ("centre", "spread", "weights", "held_out")}
        parts: dict[str, Expert | Calibration] = {**self.experts, "calibration": self.calibration}
        for name, part in parts.items():
            kept |= {f"{name}.{field.name}": np.asarray(getattr(part, field.name)) for field in fields(part)}
        kinds = {kind: name for name, kind in calibration.KINDS.items()}
        about = asdict(self.about) | asdict(self.domain)
        about |= {"format": _FORMAT, "experts": list(self.experts), "calibration": kinds[type(self.calibration)]}
        kept["about"] = np.array(json.dumps(about))
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_name(f".{path.name}.part")
        with written.open("wb") as file:
            np.savez_compressed(file, **{name: _small(name, value) for name, value in kept.items()})
        written.replace(path)

    @classmethod
    def load(cls, path: Path, kind: str) -> Ensemble:
        """NotFound, or InvalidInput for what is no such file, or of another kind or version."""
        again = _again(kind)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                about = dict(json.loads(str(kept["about"])))
                arrays = {name: kept[name] for name in kept.files if name != "about"}
            if about["format"] == _FORMAT and about["kind"] == kind:
                return _restored(about, arrays)
        except FileNotFoundError:
            raise NotFound(f"there is no trained arbiter at {path}; {again}") from None
        except PermissionError:
            raise InvalidInput(f"{path} may not be read by this user; change its permissions, or {again}") from None
        except _DAMAGE:
            raise InvalidInput(f"{path} is no trained arbiter, or is damaged; {again}") from None
        raise InvalidInput(f"{path} was trained by another version, or for something else; {again}")


def _again(kind: str) -> str:
    return f"train it again: edgewise train {'pre' if kind == 'gain' else 'post'}"


_SMALL = {np.dtype(np.float64): np.dtype(np.float32), np.dtype(np.int64): np.dtype(np.uint32)}
_WIDE = {small: wide for wide, small in _SMALL.items()}


def _small(name: str, value: Any) -> Any:
    """Half the bits are enough for what was learned; single numbers stay as they are."""
    array = np.asarray(value)
    if name.endswith(_NARROW):
        return array.astype(np.float16)
    return array.astype(_SMALL.get(array.dtype, array.dtype)) if array.ndim else array


def _restored(about: dict[str, Any], arrays: dict[str, Any]) -> Ensemble:
    told: dict[str, Any] = {field.name: about[field.name] for field in fields(About)}
    told |= {name: tuple(told[name]) for name in ("features", "groups")}
    return Ensemble(
        experts={name: experts.KINDS[name](**_of(name, arrays)) for name in about["experts"]},
        calibration=calibration.KINDS[about["calibration"]](**_of("calibration", arrays)),
        domain=Domain(about["least_near"], about["most_foreign"]),
        about=About(**told),
        **{name: arrays[name].astype(np.float64) for name in ("centre", "spread", "weights", "held_out")},
    )


def _of(name: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """The fields of a part: arrays, and numbers where they have no dimension."""
    found = {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}
    return {
        key: array.item() if not array.ndim else array.astype(np.float32 if name == "meaning" else _WIDE[array.dtype])
        for key, array in found.items()
    }
