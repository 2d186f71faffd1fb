"""What a router decides with: the trained ensembles of a device, else those that it came with, and its thresholds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from edgewise.errors import NotReady
from router.arbiter.answers import Answer, names_of, seen
from router.arbiter.cascade import SUPPOSED, Both
from router.arbiter.ensemble import Ensemble, Expected
from router.arbiter.features import NAMES, surface
from router.arbiter.metrics import Floats
from router.arbiter.rules import AtLeast, Paced, Rule, WorthIt
from router.arbiter.thresholds import by_share, guaranteed
from router.config import RouterSettings

ARBITER = "arbiter"
"""Where a data directory has what was trained for it."""
GAIN, TRUST, BOTH = "gain.npz", "trust.npz", "both.json"
_FROM_LOG = ".from-log"
TRUST_OF_SAMPLES, TRUST_OF_LITTLE = "trust_of_samples.npz", "trust_of_little.npz"
"""Trust that looks at samples, too, and trust that needs no more of the tokens than their log-probabilities."""
_SHIPPED = Path(__file__).parent / "shipped"
_SHOWN = 6
_NOTHING: Floats = np.empty(0)

Embed = Callable[[str], Awaitable[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Models:
    """`own` were trained on this device: they are never used with another embedder than theirs."""

    gain: Ensemble
    trust: Ensemble
    trust_of_samples: Ensemble | None = None
    trust_of_little: Ensemble | None = None
    both: Both = SUPPOSED
    own: frozenset[str] = frozenset()

    @staticmethod
    def open(directory: Path | None = None) -> Models:
        """Those in the directory, the shipped ones in place of what is not there. InvalidInput if one is damaged."""
        found: dict[str, Ensemble] = {}
        own: set[str] = set()
        for name in (GAIN, TRUST, TRUST_OF_SAMPLES, TRUST_OF_LITTLE):
            kind = "gain" if name == GAIN else "trust"
            is_own = directory is not None and (directory / name).exists()
            path = directory / name if directory is not None and is_own else _SHIPPED / name
            ensemble = Ensemble.load(path, kind)
            ensemble.check(NAMES if kind == "gain" else names_of(ensemble.about.groups), path)
            found[name] = ensemble
            own |= {name} if is_own else set()
        for name in (TRUST_OF_SAMPLES, TRUST_OF_LITTLE):
            if TRUST in own and name not in own:
                del found[name]  # what was trained on other answers must not overrule what knows these
        both = Both.load(directory / BOTH) if directory is not None and (directory / BOTH).exists() else SUPPOSED
        more = (found.get(TRUST_OF_SAMPLES), found.get(TRUST_OF_LITTLE))
        return Models(found[GAIN], found[TRUST], *more, both, frozenset(own))


@contextmanager
def learned_from(model: Path, *, log: bool) -> Iterator[None]:
    """Around the saving of a model: what was learned from the log is marked, to be forgotten with its records."""
    mark = model.with_name(model.name + _FROM_LOG)
    if log:
        model.parent.mkdir(parents=True, exist_ok=True)
        mark.touch(mode=0o600)
    yield
    if not log:
        mark.unlink(missing_ok=True)


def forget_learned(data_dir: Path) -> bool:
    """Deletes what was learned from the log; whether there was anything."""
    marks = list((data_dir / ARBITER).glob(f"*{_FROM_LOG}"))
    for mark in marks:
        mark.with_name(mark.name.removesuffix(_FROM_LOG)).unlink(missing_ok=True)
        mark.unlink()
    return bool(marks)


class Arbiter:
    """`gains` and `doubts` decide whether the cloud is worth asking: before an answer is written, and after.

    An answer that is trusted at least `keeps_from` stays when the cloud has answered, too.
    """

    def __init__(self, models: Models, settings: RouterSettings) -> None:
        self._models = models
        self.both = models.both
        if settings.samples and models.trust_of_samples is None:
            raise NotReady(
                "router.samples is set, but trust was trained on answers without samples; train it on a record that "
                "has some (edgewise train post), or unset router.samples"
            )
        with_samples = models.trust_of_samples if settings.samples else None
        self._trusts = tuple(filter(None, (with_samples, models.trust, models.trust_of_little)))
        self._trust = self._trusts[0]
        self.keeps_from, self.keeps_because = _keeps_from(settings, self._trust)
        doubts_from = math.nextafter(1 - self.keeps_from, math.inf)
        paced = Paced(settings.usd_per_question) if settings.usd_per_question is not None else None
        self.gains = paced or _rule(
            settings, models.gain.held_out[:, 0], AtLeast(settings.gain_threshold, settings.unfamiliar_gain_threshold)
        )
        self.doubts = paced or _rule(settings, 1 - self._trust.held_out[:, 0], AtLeast(doubts_from, doubts_from))

    @property
    def doubted(self) -> float:
        """The share of the graded answers that were trusted less than is wanted."""
        return float(np.mean(self._trust.held_out[:, 0] < self.keeps_from))

    @property
    def version(self) -> str:
        return f"{self._models.gain.version} {self._trust.version}"

    async def gain(self, question: str, embed: Embed, embedder: str | None) -> Expected:
        """What the cloud is expected to be better by; what can be said without the embedding is said meanwhile.

        NotReady where the arbiter was trained with another embedder than the edge has.
        """
        self._check(GAIN, self._models.gain, embedder)
        wanted = _Embedded(question, embed, embedder)
        return await _expected(self._models.gain, question, lambda: surface(question), wanted)

    async def trust(self, answer: Answer, embed: Embed, embedder: str | None) -> float | None:
        """The probability that an answer is right; None where nothing can be told.

        That is an answer without what trust was learned from (no log-probabilities of its tokens, say), or one unlike
        all of it. Of what was trained, the first looks that the answer has all of: samples, entropies, or little.
        """
        self._check(TRUST, self._trust, embedder)
        text = f"{answer.question} {answer.text}"
        for ensemble in self._trusts:
            if (values := seen(answer, ensemble.about.groups)) is not None:
                wanted = _Embedded(answer.text, embed, embedder)
                found = await _expected(ensemble, text, partial(tuple, values), wanted)
                return found.value if found.familiar else None
        return None

    def reasons(self, question: str, expected: Expected) -> dict[str, float]:
        """What each expert adds to the gain, and the features that add most to it or take most away."""
        ensemble = self._models.gain
        return expected.parts | ensemble.strongest(np.array(surface(question)), _SHOWN)

    def _check(self, name: str, ensemble: Ensemble, embedder: str | None) -> None:
        if name in self._models.own and ensemble.about.embedder != embedder:
            raise NotReady(
                f"the arbiter of this device was trained with another embedder (edge.embedder) than the edge has now; "
                f"train it again (edgewise train {'pre' if name == GAIN else 'post'}), or delete {name}"
            )


@dataclass(frozen=True, slots=True)
class _Embedded:
    """A text whose embedding is wanted, and the hash of the embedder."""

    text: str
    embed: Embed
    embedder: str | None


async def _expected(ensemble: Ensemble, text: str, see: Callable[[], Sequence[float]], wanted: _Embedded) -> Expected:
    """What can be said without the embedding is said while it is made."""
    if "meaning" not in ensemble.experts or ensemble.about.embedder != wanted.embedder or not wanted.text.strip():
        return ensemble.of(text, np.array(see()), _NOTHING)
    asking = asyncio.ensure_future(wanted.embed(wanted.text))
    await asyncio.sleep(0)  # what takes longest goes out first
    begun = ensemble.begin(text, np.array(see()))
    return ensemble.finish(begun, np.asarray(await asking, np.float32))


def _rule(settings: RouterSettings, gains: Floats, otherwise: Rule) -> Rule:
    if settings.usd_per_error is not None:
        return WorthIt(settings.usd_per_error)
    if settings.cloud_share is not None:
        threshold = by_share(gains, settings.cloud_share)
        return AtLeast(threshold, min(threshold, settings.unfamiliar_gain_threshold))
    return otherwise


def _keeps_from(settings: RouterSettings, trust: Ensemble) -> tuple[float, str]:
    """The trust from which an answer stays; and why none ever does, if so."""
    if settings.wrong_at_most is None:
        return settings.trust_threshold, ""
    expected, right = trust.held_out.T
    promise = guaranteed(expected, right, settings.wrong_at_most, 1 - settings.confidence)
    if promise is None:
        wanted = f"at most {settings.wrong_at_most:.0%} wrong (router.wrong_at_most)"
        return math.inf, f"{wanted} cannot be promised at any trust, from {len(right)} graded answers"
    return promise.threshold, ""
