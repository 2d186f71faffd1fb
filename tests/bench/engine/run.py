"""Runs the rounds: every contender in a process of its own, one at a time, in another order each round."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgewise.types import Value
from tests.bench.engine import machine, peers, report
from tests.bench.engine.plan import BARE, Cell, ContenderName, Plan, Probed, Probes, Setup, Visit, Visited
from tests.bench.engine.prompts import PromptMaker

_ROOT = Path(__file__).parents[3]
_TIMEOUT_S = 1800.0
_REST_S = 0.2


def run(plan: Plan, model: Path, *, threads: int, log: Path, may_build: bool, seed: int = 1) -> dict[str, Any]:
    """The whole result, as it is written to build/bench/engine.json. Only who can be built or installed takes part."""
    setup = Setup(model=str(model), context_tokens=plan.context_tokens, parallel=max(plan.streams), threads=threads)
    programs, missing = _programs(plan, may_build)
    before = machine.quiet()
    _say(f"{machine.name()}, load {before.load_average:.2f}, {before.busy or 0:.0%} busy, spin {before.spin:.2f}")
    bench = _Bench(plan, setup, programs, PromptMaker(model, seed), log)
    trials = bench.trials() if plan.trials else {}
    rounds = [bench.round(number) for number in range(plan.rounds)]
    for one in rounds:
        one.update({name: Visited(contender=name, error=why) for name, why in missing.items()})
    bench.close()
    probed = bench.probe(seed + 1)
    after = machine.quiet()
    rows = report.rows(rounds, probed.found)
    shares = [*bench.resting, *(row.get("others_busy") for row in rows)]
    noisy = before.noisy or after.noisy or any(share > machine.NOISY_BUSY for share in shares if share is not None)
    if noisy:
        _say("this machine was not quiet: trust none of these figures")
    return {
        "name": "engine",
        "commit": _commit(),
        "machine": machine.name(),
        "settings": {
            **asdict(plan),
            "setup": setup.model_dump(),
            "flash_attention_trials_s": trials,
            "quiet_before": before.model_dump(),
            "quiet_after": after.model_dump(),
            "busy_between_visits": bench.resting,
            "noisy": noisy,
            "probe_error": probed.error,
        },
        "rows": rows,
        "summary": report.summary(rounds, probed.found, max(plan.streams)),
    }


class _Bench:
    def __init__(
        self, plan: Plan, setup: Setup, programs: dict[ContenderName, str], maker: PromptMaker, log: Path
    ) -> None:
        self.resting: list[float | None] = []
        self._plan = plan
        self._setup = setup
        self._programs = programs
        self._maker = maker
        self._log = log
        self._flash = dict.fromkeys(programs, False)

    def close(self) -> None:
        self._maker.close()

    def trials(self) -> dict[str, dict[str, float]]:
        """Seconds that each contender takes at the most streams without flash attention and with it, the better of two
        times; from now on it has what was faster."""
        taken: dict[str, dict[str, float]] = {}
        for name in self._programs:
            if name == "ours_grpc":
                continue  # as ours
            seconds: dict[bool, list[float]] = {False: [], True: []}
            for self._flash[name] in (False, True, True, False):
                streams = 1 if name in BARE else max(self._plan.streams)
                cells = tuple(cell for cell in self._cells() if cell.streams == streams)
                visited = self._visit(name, cells, f"trial, flash attention {self._flash[name]}")
                if not visited.error:
                    seconds[self._flash[name]].append(sum(cell.wall_s for cell in visited.cells))
            if seconds[False] and seconds[True]:
                best = {flash: min(times) for flash, times in seconds.items()}
                taken[name] = {"off": best[False], "on": best[True]}
                self._flash[name] = best[True] < best[False]
        if "ours_grpc" in self._flash:
            self._flash["ours_grpc"] = self._flash.get("ours", False)
        return taken

    def round(self, number: int) -> report.Round:
        cells = tuple(self._cells())
        names = tuple(self._programs)
        first = number % len(names) if names else 0
        title = f"round {number + 1} of {self._plan.rounds}"
        return {name: self._visit(name, cells, title) for name in (*names[first:], *names[:first])}

    def probe(self, seed: int) -> Probed:
        started = time.monotonic()
        task = Probes(
            setup=self._setup,
            flash_attention=self._flash.get("ours", False),
            repeats=self._plan.repeats,
            seed=seed,
            prompt_tokens=self._plan.workloads[0].prompt_tokens,
            new_tokens=self._plan.new_tokens,
        )
        output, error = _child("probe", task, self._log)
        _say(f"further figures of ours, {time.monotonic() - started:.0f} s{f': {error}' if error else ''}")
        return Probed(error=error) if error else Probed.model_validate_json(output)

    def _cells(self) -> Iterator[Cell]:
        """With prompts that nobody has seen."""
        plan, maker = self._plan, self._maker
        alone = maker.batch(plan.single, max(1, plan.requests // 2))
        yield Cell(workload=plan.single.name, streams=1, asked=alone, new_tokens=plan.new_tokens)
        for workload in plan.workloads:
            for streams in plan.streams:
                asked = maker.batch(workload, plan.requests)
                yield Cell(workload=workload.name, streams=streams, asked=asked, new_tokens=plan.new_tokens)

    def _visit(self, name: ContenderName, cells: tuple[Cell, ...], title: str) -> Visited:
        self.resting.append(machine.busy(_REST_S))
        started = time.monotonic()
        task = Visit(
            contender=name,
            setup=self._setup,
            program=self._programs[name],
            flash_attention=self._flash[name],
            warm_up=self._maker.alone(self._plan.workloads[0].prompt_tokens),
            cells=cells
            if name not in BARE
            else tuple(cell for cell in cells if cell.workload == self._plan.single.name),
        )
        output, error = _child("visit", task, self._log)
        _say(f"{title}: {name}, {time.monotonic() - started:.0f} s{f': {error}' if error else ''}")
        return Visited(contender=name, error=error) if error else Visited.model_validate_json(output)


def _programs(plan: Plan, may_build: bool) -> tuple[dict[ContenderName, str], dict[ContenderName, str]]:
    """What the contenders run, and why some of them cannot."""
    programs: dict[ContenderName, str] = {}
    missing: dict[ContenderName, str] = {}
    for name in plan.contenders:
        try:
            programs[name] = peers.program(name, may_build=may_build)
        except peers.Missing as why:
            missing[name] = str(why)
            _say(f"without {name}: {why}")
    return programs, missing


def _child(kind: str, task: Value, log: Path) -> tuple[str, str]:
    """What a child process has found, or why it has found nothing."""
    # Each contender has the environment that it would have by itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-m", "tests.bench.engine.child"]
    given = f"{kind}\n{task.model_dump_json()}"
    try:
        ran = subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            cwd=_ROOT,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"it took more than {_TIMEOUT_S:.0f} s"
    with log.open("a", encoding="utf-8") as output:
        output.write(ran.stderr)
    if ran.returncode != 0:
        said = ran.stderr.strip().splitlines() or ["no output"]
        return "", f"{said[-1][:300]} (exit {ran.returncode}; {log} has the rest)"
    return ran.stdout.strip().splitlines()[-1], ""


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
