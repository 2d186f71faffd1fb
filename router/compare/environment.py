"""Where and with what a comparison was made, so that its numbers can be judged later."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from pydantic import Field

from edgewise.types import Author, CostBasis, SideStatus, Value
from router.compare.judge import Agreement
from router.compare.offpolicy import Estimate

_DISTRIBUTIONS = ("edgewise", "llama-cpp-python", "onnxruntime", "chromadb", "openai", "numpy")


class Machine(Value):
    system: str
    processor: str
    cores: int | None
    python: str


class Model(Value):
    """What answers on one side. `label` is in its own words: a stand-in calls itself one."""

    name: str = ""
    label: str = ""
    hash: str | None = None
    parameters: float | None = None


class Judging(Value):
    """Who judged, how often it agreed with scorers that need no model, and what all that cost."""

    side: Author
    prompt_version: str
    agreement: Agreement
    unjudged: int
    cost_usd: float | None


class Replaying(Value):
    """What was replayed. No model ran: `covered` is the share of each mode's questions whose calls were all recorded.

    `policy` is what decided, in words; `timed` is the share of a mode's answers whose times are those of the very
    answer that was recorded, and not put together from its calls. `undecided` questions got no mode from a router from
    elsewhere. `off_policy` estimates a policy's accuracy from answers whose propensity was logged.
    """

    trace: str
    policy: str = ""
    covered: dict[str, float] = Field(default_factory=dict)
    timed: dict[str, float] = Field(default_factory=dict)
    missing: int = 0
    undecided: int = 0
    of_other_models: int = 0
    off_policy: dict[str, Estimate] = Field(default_factory=dict)


class Environment(Value):
    """`left_out` counts the (question, mode) pairs that were not asked, because the mode has no sources to abstain on.

    `cost_basis` says for each mode what its costs stand on. `concurrency` is the number of pairs in flight. `skipped`
    counts the lines of the questions' file that were at fault, and left out because that was asked for. `to_come` are
    the answers that a run which was stopped has still to ask for.
    """

    question_set: str
    questions: int
    seed: int
    concurrency: int = 1
    left_out: int = 0
    to_come: int = 0
    skipped: int = 0
    warm: bool = False
    judging: Judging | None = None
    replaying: Replaying | None = None
    started_at: str
    machine: Machine
    versions: dict[str, str]
    commit: str | None
    edge: Model
    cloud: Model | None
    cost_basis: dict[str, tuple[CostBasis, ...]] = Field(default_factory=dict)


def observe(question_set: str, questions: int, seed: int, edge: SideStatus, cloud: SideStatus | None) -> Environment:
    return Environment(
        question_set=question_set,
        questions=questions,
        seed=seed,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=Machine(
            system=f"{platform.system()} {platform.release()}",
            processor=_processor(),
            cores=os.cpu_count(),
            python=platform.python_version(),
        ),
        versions=_versions(_DISTRIBUTIONS),
        commit=_commit(),
        edge=_model(edge),
        cloud=_model(cloud) if cloud else None,
    )


def _model(side: SideStatus) -> Model:
    return Model(name=side.model, label=side.label, hash=side.model_hash, parameters=side.parameters)


def _versions(distributions: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str | None:
    """The commit of the checkout that this runs from, None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip()
