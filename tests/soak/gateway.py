"""`python -m tests.soak.gateway`: 10,000 calls through a router and its gateway, while everything behind them fails.

Upstreams that refuse, lie and fall silent, connections that break, a gateway that is restarted, callers who leave. Each
call ends once and has one record, whose cost is what was served; nothing private gets out; and the process is as large
afterwards as before. Writes build/soak/gateway.json; exits 1 on a violation.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from math import isclose
from pathlib import Path
from random import Random
from statistics import median

from edgewise.errors import EdgewiseError
from edgewise.keys import question_hash
from edgewise.types import Done, Privacy, Question, Record, Value
from router.config import RouterSettings
from tests.collectors import collecting
from tests.faults.invariants import NOT_LET_IN, Taken
from tests.faults.stand import SILENT, Misbehaving, Sinks, Stand, standing
from tests.routers import VARIANTS, an_edge
from tests.sides import UNSURE

OUT = Path("build/soak/gateway.json")
SECRET = "zqsecret"
FLAT = 0.05
"""So much may the last third's memory exceed the first one's."""
JUDGED_CALLS = 5_000
"""A shorter run says nothing about memory: caches still fill."""
_USERS = 16
_WARM_UP = 0.1
_SHOWN = 20
_BEHAVIOURS = (
    "429-bare", "500", "503-wait", "html", "not-json", "short", "hang-midway", "error-midway", "no-usage",
    "usage-absurd",
)  # fmt: skip


class Report(Value):
    """`rss_mb` are medians of the first and the last third; `violated` counts all, `violations` has the first ones."""

    name: str = "gateway"
    calls: int
    seconds: float = 0.0
    seed: int = 0
    ends: dict[str, int]
    faults: dict[str, int]
    records: int = 0
    logged_usd: float
    served_usd: float
    unknown_costs: int
    rss_mb: tuple[float, float]
    rss_drift: float
    rss_is_judged: bool
    threads: tuple[int, int]
    files: tuple[int, int]
    violated: int
    violations: tuple[str, ...]

    def text(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items(), key=lambda one: -one[1]))
        judged = "" if self.rss_is_judged else ", too short to judge"
        money = f"${self.logged_usd:.6f} logged of ${self.served_usd:.6f} served; {self.unknown_costs} of unknown cost"
        lines = [
            f"{self.calls} calls in {self.seconds:.0f} s, seed {self.seed}: {ends}",
            f"{self.records} records, {money}",
            f"memory  {self.rss_mb[0]:.1f} -> {self.rss_mb[1]:.1f} MB ({self.rss_drift:+.1%}){judged}",
            f"threads {self.threads[0]} -> {self.threads[1]}, descriptors {self.files[0]} -> {self.files[1]}",
        ]
        lines += [f"VIOLATION {violation}" for violation in self.violations]
        return "\n".join(lines if self.violated else [*lines, "no violation"])


class Soak:
    def __init__(self, stand: Stand, seed: int) -> None:
        self.ends: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.violations: list[str] = []
        self.violated = 0
        self.let_in = 0
        self.logged_usd = self.served_usd = 0.0
        self.unknown = 0
        self.sizes: list[float] = []
        self._stand = stand
        self._seed = seed

    async def run(self, calls: int) -> None:
        chaos = asyncio.create_task(self._chaos(Random(f"{self._seed} chaos")))
        numbers = iter(range(calls))

        async def user(random: Random) -> None:
            for number in numbers:
                await self._call(random, number)
                if number % 50 == 49:
                    self._tidy()
                    self.sizes.append(rss_mb())

        try:
            async with asyncio.TaskGroup() as group:
                for name in range(_USERS):
                    group.create_task(user(Random(f"{self._seed} {name}")))
        finally:
            chaos.cancel()
            await asyncio.wait({chaos})
        await self._stand.router.settled()

    async def settle(self) -> None:
        """What is in the books, when nothing runs any more."""
        stand = self._stand
        records = sum(mode.n for mode in await stand.router.tally())
        if records != self.let_in:
            self.violation(f"{self.let_in} calls were let in, and {records} records are there")
        if stand.near.trespasses or stand.far.trespasses:
            self.violation("a private word left the device")
        if stand.book.noted < stand.book.arrived:
            self.violation(f"{stand.book.arrived} calls arrived, and {stand.book.noted} were written down")

    async def _call(self, random: Random, number: int) -> None:
        private = random.random() < 0.2
        text = f"When does ferry {number} sail{f' for {SECRET}{number}' if private else ''}?"
        question = Question(
            text=text,
            mode=random.choice(VARIANTS),
            privacy=Privacy.PRIVATE if private else Privacy.PUBLIC,
            max_latency_s=5,
        )
        leaves = random.random() < 0.05
        done, error, said = None, "", ""
        try:
            async with asyncio.timeout(30), aclosing(self._stand.client.ask(question)) as events:
                async for event in events:
                    if done is not None:
                        self.violation(f"{text}: something came after the end")
                    done = event if isinstance(event, Done) else None
                    if leaves:
                        break
        except EdgewiseError as failure:
            error, said = failure.code, f"{type(failure).__name__} {failure.message}"
        except TimeoutError:
            self.violation(f"{text}: no end within 30 s")
        self.ends["left" if leaves and not done and not error else error or (done.author if done else "none")] += 1
        self.let_in += error not in NOT_LET_IN
        if error == "RESOURCE_EXHAUSTED":
            await asyncio.sleep(0.05)  # or most of the calls would be refusals
        if error == "CANCELLED":
            self.violation(f"{text}: {question.mode}: cancelled by somebody else than its caller {said}")
        if not leaves and (done is None) is not bool(error):
            self.violation(f"{text}: it is done and failed, or neither")
        if done is not None:
            await self._check(done, question)

    async def _check(self, done: Done, question: Question) -> None:
        record: Record = await self._stand.log.get(done.record_id)
        if (record.question, record.cost_usd, record.author) != (question.text, done.cost_usd, done.author):
            self.violation(f"{question.text}: its record says something else")
        if question.privacy is Privacy.PRIVATE and done.author != "edge":
            self.violation(f"{question.text}: private, and answered by the {done.author}")
        book = self._stand.book
        served = [book.served[place] for place in book.of_question.pop(question_hash(question.text), ())]
        self.served_usd += sum(cost or 0.0 for cost in served)
        if record.cost_usd is None:
            self.unknown += 1
            return
        self.logged_usd += record.cost_usd
        if None in served or not isclose(record.cost_usd, sum(cost or 0.0 for cost in served), rel_tol=1e-9):
            self.violation(f"{question.text}: ${record.cost_usd} was logged, and {served} was served")

    async def _chaos(self, random: Random) -> None:
        """One fault after the other, with as much peace in between."""
        stand = self._stand
        ways: dict[str, Callable[[], Awaitable[None]]] = {
            **{name: self._behave(name) for name in _BEHAVIOURS},
            "gateway cut": lambda: stand.near.breaks("cut"),
            "gateway reset": lambda: stand.near.breaks("reset", "after the first token"),
            "gateway slow": lambda: stand.near.breaks("slow"),
            "upstream cut": lambda: stand.far.breaks("cut", "after the first token"),
            "upstream gone": lambda: stand.far.breaks("refused"),
            "upstream silent": lambda: stand.far.breaks("black hole"),
            "gateway restarted": stand.gateway.restart,
        }
        while True:
            name = random.choice(list(ways))
            self.faults[name] += 1
            await ways[name]()
            await asyncio.sleep(random.uniform(0.1, 0.4))
            stand.sinks.upstream.behaves = "ok"
            await stand.near.mend()
            await stand.far.mend()
            await asyncio.sleep(random.uniform(0.1, 0.4))

    def _behave(self, name: str) -> Callable[[], Awaitable[None]]:
        async def behave() -> None:
            self._stand.sinks.upstream.behaves = name

        return behave

    def _tidy(self) -> None:
        """What the test itself remembers is none of the product's memory."""
        stand = self._stand
        stand.sinks.upstream.requests.clear()
        stand.sinks.upstream.keys.clear()
        stand.sinks.collector.requests.clear()
        for kept in (stand.edge.prompts, stand.edge.options, stand.edge.queries, stand.edge.scored):
            kept.clear()
        stand.edge.kept = ()

    def violation(self, what: str) -> None:
        self.violated += 1
        if len(self.violations) < _SHOWN:
            self.violations.append(what[:500])


def rss_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)
    assert found is not None
    return int(found.group(1)) * 1024 / 1e6


async def _soaked(directory: Path, sinks: Sinks, calls: int, seed: int) -> tuple[Soak, int]:
    settings = RouterSettings(gain_threshold=0, max_concurrent=_USERS - 1)  # so that some are refused
    async with standing(directory, sinks, an_edge(UNSURE), cloud=SILENT, router=settings) as stand:
        for wire in (stand.near, stand.far):
            wire.is_kept, wire.forbidden = False, SECRET.encode()
        stand.book.is_watched = False
        run = Soak(stand, seed)
        await run.run(calls)
        await run.settle()
        return run, sum(mode.n for mode in await stand.router.tally())


def soak(calls: int, seed: int) -> Report:
    """The same once before, in small, so that what is made at first use is there."""
    with Misbehaving() as upstream, collecting() as collector, tempfile.TemporaryDirectory() as directory:
        upstream.pause_s = 0.001
        sinks = Sinks(upstream, collector)
        place = Path(directory)
        for name in ("before", "soak"):
            (place / name).mkdir()
        asyncio.run(_soaked(place / "before", sinks, max(50, int(calls * _WARM_UP)), seed + 1))
        sinks.reset()
        before, started = Taken.now(), time.monotonic()
        run, records = asyncio.run(_soaked(place / "soak", sinks, calls, seed))
        seconds = time.monotonic() - started
        try:
            before.comes_back()
        except AssertionError as error:
            run.violation(str(error))
        return _report(run, calls, before).model_copy(update={"seconds": seconds, "seed": seed, "records": records})


def _report(run: Soak, calls: int, before: Taken) -> Report:
    third = max(1, len(run.sizes) // 3)
    first, last = median(run.sizes[:third]), median(run.sizes[-third:])
    if calls >= JUDGED_CALLS and last > first * (1 + FLAT):
        run.violation(f"the process grew from {first:.1f} to {last:.1f} MB")
    after = Taken.now()
    return Report(
        calls=calls,
        ends=dict(run.ends),
        faults=dict(run.faults),
        logged_usd=run.logged_usd,
        served_usd=run.served_usd,
        unknown_costs=run.unknown,
        rss_mb=(first, last),
        rss_drift=last / first - 1,
        rss_is_judged=calls >= JUDGED_CALLS,
        threads=(before.threads, after.threads),
        files=(before.files, after.files),
        violated=run.violated,
        violations=tuple(run.violations),
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak.gateway", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    logging.disable()  # of what is broken on purpose
    report = soak(arguments.calls, arguments.seed)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(report.text())
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
