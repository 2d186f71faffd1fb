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
from tests.bench.engine.plan import (
    Cell,
    ContenderName,
    Plan,
    Probed,
    Probes,
    Setup,
    Visit,
    Visited,
)
from tests.bench.engine.prompts import PromptMaker

_ROOT = Path(__file__).parents[3]
_TIMEOUT_S = 1800.0
_REST_S = 0.2


def run(plan: Plan, model: Path, *, threads: int, log: Path, may_build: bool, seed: int = 1) -> dict[str, Any]:
    """The whole result, as it is written to build/bench/engine.json."""
    parallel = max(plan.streams)
    setup = Setup(model=str(model), context_tokens=plan.context_tokens, parallel=parallel, threads=threads)
    programs, missing = _programs(plan, may_build)
    before = machine.quiet()
    _say(f"{machine.name()}, load {before.load_average:.2f}, {before.busy or 0:.0%} busy, spin {before.spin:.2f}")
    resting: list[float | None] = []
    rounds: list[report.Round] = []
    maker = PromptMaker(model, seed)
    for number in range(plan.rounds):
        one: report.Round = {name: Visited(contender=name, error=why) for name, why in missing.items()}
        cells = tuple(_cells(plan, maker))
        warm_up = maker.alone(plan.workloads[0].prompt_tokens)
        for name in _order(tuple(programs), number):
            resting.append(machine.busy(_REST_S))
            only_one_stream = name == "bare"
            task = Visit(
                contender=name,
                setup=setup,
                program=programs[name],
                warm_up=warm_up,
                cells=tuple(cell for cell in cells if cell.workload == plan.single.name or not only_one_stream),
            )
            one[name] = _visit(task, f"round {number + 1} of {plan.rounds}", log)
        rounds.append(one)
    maker.close()
    probes = Probes(
        setup=setup,
        repeats=plan.repeats,
        seed=seed + 1,
        prompt_tokens=plan.workloads[0].prompt_tokens,
        new_tokens=plan.new_tokens,
    )
    probed = _probe(probes, log)
    after = machine.quiet()
    rows = report.rows(rounds, probed.found)
    shares = [*resting, *(row.get("others_busy") for row in rows)]
    noisy = before.noisy or after.noisy or any(share > machine.NOISY_BUSY for share in shares if share is not None)
    if noisy:
        _say("this machine was not quiet: trust none of these figures")
    settings: dict[str, Any] = {
        **asdict(plan),
        "setup": setup.model_dump(),
        "quiet_before": before.model_dump(),
        "quiet_after": after.model_dump(),
        "busy_between_visits": resting,
        "noisy": noisy,
        "probe_error": probed.error,
    }
    return {
        "name": "engine",
        "commit": _commit(),
        "machine": machine.name(),
        "settings": settings,
        "rows": rows,
        "summary": report.summary(rounds, probed.found, max(plan.streams)),
    }


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


def _cells(plan: Plan, maker: PromptMaker) -> Iterator[Cell]:
    alone = maker.batch(plan.single, max(1, plan.requests // 2))
    yield Cell(workload=plan.single.name, streams=1, asked=alone, new_tokens=plan.new_tokens)
    for workload in plan.workloads:
        for streams in plan.streams:
            asked = maker.batch(workload, plan.requests)
            yield Cell(workload=workload.name, streams=streams, asked=asked, new_tokens=plan.new_tokens)


def _order(names: tuple[ContenderName, ...], number: int) -> tuple[ContenderName, ...]:
    first = number % len(names) if names else 0
    return names[first:] + names[:first]


def _visit(task: Visit, title: str, log: Path) -> Visited:
    started = time.monotonic()
    output, error = _child("visit", task, log)
    found = Visited(contender=task.contender, error=error) if error else Visited.model_validate_json(output)
    _say(f"{title}: {task.contender}, {time.monotonic() - started:.0f} s{f': {error}' if error else ''}")
    return found


def _probe(task: Probes, log: Path) -> Probed:
    started = time.monotonic()
    output, error = _child("probe", task, log)
    _say(f"further figures of ours, {time.monotonic() - started:.0f} s{f': {error}' if error else ''}")
    return Probed(error=error) if error else Probed.model_validate_json(output)


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
