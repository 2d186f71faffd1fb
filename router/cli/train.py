"""`train`: what decides on this device, learned from graded questions."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise import exits
from edgewise.errors import InvalidInput, NotReady
from router.cli.local import AsJson, DataDir, data_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.arbiter.cascade import Both
    from router.arbiter.ensemble import Ensemble
    from router.arbiter.labels import Labels
    from router.arbiter.metrics import Floats, Interval

_RESAMPLES = 500

train = typer.Typer(
    help="Learn who should answer, and which answers to trust, from graded questions (needs scikit-learn).",
    no_args_is_help=True,
)

LabelFiles = Annotated[
    list[Path] | None,
    typer.Option("--labels", help="CSV or JSON lines of graded questions (see router/arbiter); repeatable."),
]
FromLog = Annotated[bool, typer.Option("--from-log", help="Learn from the graded answers of the data directory.")]


@train.command()
def pre(
    labels: LabelFiles = None, from_log: FromLog = False, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Learn the expected gain of the cloud, by which pre_arbitration decides."""
    from router.arbiter.labels import FOR_GAIN

    directory = data_directory(data_dir)
    given = exits.run(_given(labels, directory, FOR_GAIN, from_log=from_log))
    _print(exits.run(_pre(given, directory, from_log=from_log)), as_json=as_json)


@train.command()
def post(
    labels: LabelFiles = None, from_log: FromLog = False, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Learn how far to trust an answer of the edge, by which post_arbitration decides."""
    from router.arbiter.labels import FOR_TRUST

    directory = data_directory(data_dir)
    given = exits.run(_given(labels, directory, FOR_TRUST, from_log=from_log))
    _print(exits.run(_post(given, directory, from_log=from_log)), as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Learned:
    """What was kept where, and figures of questions that it had not seen: value, lower and upper end, or a value."""

    kept: tuple[Path, ...]
    questions: int
    seconds: float
    figures: Mapping[str, tuple[float, ...]]
    remark: str = ""


async def _given(labels: Sequence[Path] | None, directory: Path, needed: Sequence[str], *, from_log: bool) -> Labels:
    from edgewise import settings
    from router.arbiter.history import answers_of, gains_of
    from router.arbiter.labels import FOR_GAIN, read_labels
    from router.config import RouterSettings
    from router.log import Log, place_in

    if bool(labels) == from_log:
        raise InvalidInput("say what to learn from: --labels FILE, or --from-log")
    if labels:
        return read_labels(labels, needed)
    records = place_in(directory, settings.load(RouterSettings))
    if records.file and not records.file.exists():
        raise InvalidInput(f"{directory} has no records yet; ask something and grade it (edgewise grade), then train")
    log = await Log.open(records)
    try:
        return await (gains_of(log) if needed == FOR_GAIN else answers_of(log))
    finally:
        await log.close()


async def _pre(labels: Labels, directory: Path, *, from_log: bool) -> _Learned:
    from router.arbiter.arbiter import ARBITER, GAIN, learned_from
    from router.arbiter.labels import learnable
    from router.arbiter.metrics import apgr, bootstrap

    learnable(labels)
    training = _training()
    started = time.monotonic()
    vectors, embedder = await _embedded(labels.prompts)
    with _working(f"learning from {len(labels):,} questions"):
        ensemble = training.fit_gain(labels, vectors, embedder)
    path = directory / ARBITER / GAIN
    with learned_from(path, log=from_log):
        ensemble.save(path)
    expected = ensemble.held_out[:, 0]
    area = bootstrap(lambda at: apgr(expected[at], labels.outcomes.take(at)), len(labels), _RESAMPLES)
    figures = {"APGR (0.5 is chance)": (area.value, area.lo, area.hi)}
    return _Learned((path,), len(labels), time.monotonic() - started, figures, _remark(area))


async def _post(labels: Labels, directory: Path, *, from_log: bool) -> _Learned:
    from router.arbiter.arbiter import ARBITER, BOTH, TRUST, learned_from
    from router.arbiter.labels import learnable_answers
    from router.arbiter.metrics import auroc, bootstrap, brier, ece

    right = labels.outcomes.weak
    learnable_answers(labels)
    training = _training()
    started = time.monotonic()
    vectors, embedder = await _embedded([answer.text for answer in labels.answers])
    place = directory / ARBITER
    with _working(f"learning from {len(labels):,} answers"):
        trusts: dict[str, Ensemble | None] = training.fit_trusts(labels, vectors, embedder)
        ensemble = trusts[TRUST]
        assert ensemble is not None
        kept: dict[Path, Ensemble | Both | None] = {place / name: learned for name, learned in trusts.items()}
        kept[place / BOTH] = await _both(labels, ensemble)
    for path, learned in kept.items():
        if learned is None:
            path.unlink(missing_ok=True)  # of an earlier training: it knows nothing of these answers
        else:
            with learned_from(path, log=from_log):
                learned.save(path)
    trust = ensemble.held_out[:, 0]
    area = bootstrap(lambda at: auroc(trust[at], right[at]), len(labels), _RESAMPLES)
    figures = {
        "AUROC (0.5 is chance)": (area.value, area.lo, area.hi),
        "calibration error": (ece(trust, right),),
        "Brier score": (brier(trust, right),),
    }
    paths = tuple(path for path, learned in kept.items() if learned is not None)
    return _Learned(paths, len(labels), time.monotonic() - started, figures, _remark(area))


async def _both(labels: Labels, trust: Ensemble) -> Both | None:
    """How the expected gain and trust go together, where it is known how good the cloud was on the same questions."""
    import numpy as np

    from router.arbiter.cascade import fit_both

    gains = labels.outcomes.strong - labels.outcomes.weak
    if np.isnan(gains).any() or np.all(gains == gains[0]):
        return None
    vectors, embedder = await _embedded(labels.prompts)
    before = _training().fit_gain(labels, vectors, embedder)
    return fit_both(before.held_out[:, 0], trust.held_out[:, 0], gains)


def _training() -> ModuleType:
    try:
        import sklearn  # noqa: F401 - whether it is there
    except ImportError:
        raise NotReady("training needs scikit-learn; install it with pip install 'edgewise[train]'") from None
    from router.arbiter import training

    return training


async def _embedded(texts: Sequence[str]) -> tuple[Floats, str]:
    """Vectors by the embedder of the edge, [texts, dimension], and its hash; of an empty text that of a full stop."""
    import numpy as np

    from edge.config import EdgeSettings
    from edge.embedder import Embedder
    from edge.retriever import embed_whole
    from edgewise import settings

    embedder = await asyncio.to_thread(Embedder.open, settings.load(EdgeSettings).embedder)
    try:
        with _working(f"embedding {len(texts):,} texts"):
            vectors = [await embed_whole(embedder, text if text.strip() else ".") for text in texts]
        return np.array(vectors, np.float64), embedder.model_hash
    finally:
        embedder.close()


def _working(what: str) -> AbstractContextManager[object]:
    from rich.console import Console

    return Console(stderr=True).status(what)


def _remark(area: Interval) -> str:
    return "" if area.lo > 0.5 else "no better than chance on what it had not seen; grade more before relying on it"


def _print(learned: _Learned, *, as_json: bool) -> None:
    if as_json:
        figures = {name: dict(zip(("value", "lo", "hi"), some, strict=False)) for name, some in learned.figures.items()}
        shown = {
            "kept": list(map(str, learned.kept)),
            "questions": learned.questions,
            "seconds": round(learned.seconds, 2),
            "held_out": figures,
            "remark": learned.remark,
        }
        print(json.dumps(shown, indent=2))
        return
    print(f"learned from {learned.questions:,} graded questions in {learned.seconds:.0f} s; on what it had not seen:")
    for name, (value, *ends) in learned.figures.items():
        interval = f" (95 %: {ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
        print(f"  {name:<22} {value:.3f}{interval}")
    if learned.remark:
        print(f"  {learned.remark}")
    for path in learned.kept:
        print(f"kept in {path}")
    print("a daemon that runs already uses it after its next start")
