"""What is measured, how often, and the values that travel between the benchmark and its child processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgewise.types import Value

ContenderName = Literal["bare", "bare_repacked", "lock", "server", "xllamacpp", "ours", "ours_plain", "ours_grpc"]
CONTENDERS: dict[ContenderName, str] = {
    "bare": "a bare loop over the bindings, one sequence",
    "bare_repacked": "the same loop with the edge engine's kernels",
    "lock": "llama-cpp-python's high-level API behind a lock",
    "server": "llama.cpp's server, same source, same flags",
    "xllamacpp": "llama.cpp's server as xllamacpp ships it",
    "ours": "the edge engine",
    "ours_plain": "the edge engine with `edge.repack = false`",
    "ours_grpc": "the whole edge node, over gRPC",
}
BARE: tuple[ContenderName, ...] = ("bare", "bare_repacked")
"""Those that answer one request after the other, and take part in nothing else."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Prompts of `prompt_tokens`, chat template included; every second one shares its first `shared_tokens`."""

    name: str
    prompt_tokens: int
    shared_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often the figures that only our engine has are taken, and on what sizes."""

    prefix: int = 7
    prefix_tokens: int = 1000
    conversations: int = 8
    cancels: int = 40
    cancelled_tokens: int = 1500
    answers: int = 12
    lag_rounds: int = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` answers are asked for at each number of streams, so many at once.

    With `trials`, each contender is tried with and without flash attention first, and keeps what is faster for it here.
    """

    rounds: int = 5
    contenders: tuple[ContenderName, ...] = tuple(CONTENDERS)
    single: Workload = Workload("single", 512)
    workloads: tuple[Workload, ...] = (Workload("short", 114), Workload("long", 512, shared_tokens=400))
    streams: tuple[int, ...] = (1, 2, 4, 8)
    requests: int = 8
    new_tokens: int = 64
    context_tokens: int = 2048
    trials: bool = True
    repeats: Repeats = Repeats()


FULL = Plan()
QUICK = Plan(
    rounds=1,
    contenders=("bare", "lock", "server", "ours"),
    streams=(8,),
    trials=False,
    repeats=Repeats(prefix=1, cancels=4, answers=1, lag_rounds=1),
)


class Asked(Value):
    """A request: a system message, a user message, and how many tokens they are in the model's chat template."""

    system: str
    user: str
    tokens: int


class Cell(Value):
    workload: str
    streams: int
    asked: tuple[Asked, ...]
    new_tokens: int


class Setup(Value):
    """The same for all contenders. `context_tokens` are a request's, of which there are at most `parallel` at once."""

    model: str
    context_tokens: int
    parallel: int
    threads: int


class Visit(Value):
    """One life of a contender's process."""

    contender: ContenderName
    setup: Setup
    program: str = ""
    flash_attention: bool = False
    warm_up: Asked
    cells: tuple[Cell, ...]


class Answer(Value):
    """Monotonic times of a request and of the pieces of text that came back; `text` shows that it is one."""

    sent_s: float
    arrivals_s: tuple[float, ...]
    completion_tokens: int
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    text: str = ""

    @property
    def ttft_s(self) -> float | None:
        return self.arrivals_s[0] - self.sent_s if self.arrivals_s else None


class Memory(Value):
    """Megabytes of all processes of a contender; shared pages are split among those who have them in `pss`."""

    rss_mb: float
    pss_mb: float
    peak_mb: float


class Measured(Value):
    """`others` is the share of all cores that other programs used meanwhile."""

    workload: str
    streams: int
    wall_s: float
    answers: tuple[Answer, ...]
    others: float | None
    memory: Memory | None
    joules: float | None


class Visited(Value):
    """`error` says why there is nothing else."""

    contender: ContenderName
    error: str = ""
    load_s: float | None = None
    idle: Memory | None = None
    about: str = ""
    kernels: str = ""
    cells: tuple[Measured, ...] = ()


class Probes(Value):
    """What our engine is asked for the figures that only it has."""

    setup: Setup
    flash_attention: bool
    repeats: Repeats
    seed: int
    prompt_tokens: int
    new_tokens: int


class Found(Value):
    """A figure with what it was made from; None says why in `note`."""

    name: str
    value: float | None
    note: str = ""
    samples: tuple[float, ...] = ()


class Probed(Value):
    found: tuple[Found, ...] = ()
    error: str = ""
