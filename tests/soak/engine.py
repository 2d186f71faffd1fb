"""`python -m tests.soak.engine`: an edge node under everything at once, for minutes, and whether it was unmoved.

Random requests of every kind, cancelled at random moments, refused, overloaded, with adapters that come and go; then
thousands of quick cancels. Every request must end once and as it may, the node must be idle and no larger afterwards,
and the same question must get the same answer all the while. Writes build/soak/engine.json; exits 1 on a violation.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

from edge.client import EdgeClient
from edgewise.errors import DeadlineExceeded, InvalidInput, NotFound, Overloaded
from edgewise.types import Options, Sampling
from tests.adapters import write_adapter
from tests.edges import prompt
from tests.soak.child import PARALLEL, PLACES, Node, Sample, serving
from tests.soak.report import Cancels, Report
from tests.soak.tally import Tally, memory
from tests.soak.traffic import Request, Traffic, finish, leave, left

OUT = Path("build/soak/engine.json")
STEADY = ("red", "blue")
QUESTION = "What does a lighthouse do?"
_USERS = 8
_WARM_UP = 0.2
_SAMPLE_S = 0.5
_PROBES = 8


class Soak:
    """`place` is the directory of the adapters: `red` and `blue` stay, `green` is replaced, `broken` is none."""

    def __init__(self, edge: EdgeClient, node: Node, place: Path, seed: int) -> None:
        self.tally = Tally()
        self.answers: list[str] = []
        self.samples: list[Sample] = []
        self._edge = edge
        self._node = node
        self._place = place
        self._seed = seed
        self._default = asyncio.Lock()

    async def run(self, seconds: float) -> None:
        """Users and their adapters, a fifth of the time to warm up, and the rest with the node's size watched."""
        capabilities = (await self._edge.status()).capabilities
        await self.probe()
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for user in range(_USERS):
                group.create_task(self._use(Random(f"{self._seed} {user}"), capabilities, until))
            group.create_task(self._swap(Random(f"{self._seed} adapters"), until))
            group.create_task(self._burst(Random(f"{self._seed} bursts"), capabilities, seconds / 5, until))
            group.create_task(self._watch(until - seconds * (1 - _WARM_UP), until))
            while time.monotonic() < until:
                await asyncio.sleep(seconds / _PROBES)
                await self.probe()

    async def probe(self) -> None:
        """The same question, of the model as it is."""
        options = Options(sampling=Sampling(max_tokens=24, seed=0))
        text = None
        async with self._default:
            while text is None:
                with suppress(Overloaded):
                    await self._edge.load_adapter("")
                    text, _ = await finish(self._edge, prompt(QUESTION), options)
                await asyncio.sleep(0.05)
        self.answers.append(text)
        if text != self.answers[0]:
            self.tally.violation(f"the same question was answered {self.answers[0]!r}, and then {text!r}")

    async def cancel(self, count: int) -> Cancels:
        """That many requests which are given up at once, in the queue, in their prompt, or in their answer."""
        random, started = Random(f"{self._seed} cancels"), time.monotonic()
        moments: Counter[str] = Counter()
        numbers = iter(range(count))

        async def user() -> None:
            for number in numbers:
                moment, request = self._given_up(random, number)
                moments[moment] += 1
                await self.tally.send(self._edge, request)

        async with asyncio.TaskGroup() as group:
            for _ in range(PLACES):
                group.create_task(user())
        return Cancels(count=count, seconds=time.monotonic() - started, moments=dict(moments))

    async def settle(self) -> None:
        """What a node that nobody asks must be: idle, with all its sequences free, and what it was."""
        for _ in range(100):
            status = await self._edge.status()
            if status.queued == status.running == 0:
                break
            await asyncio.sleep(0.1)
        else:
            self.tally.violation(f"nobody asks, and {status.running} run and {status.queued} wait")
        await self.probe()
        await self._use_all_sequences()
        if self._node.process.returncode is not None:
            self.tally.violation(f"the node ended with {self._node.process.returncode}")
        if "Traceback" in (log := self._node.log.read_text()):
            self.tally.violation(f"the node's log has a fault: {log[log.index('Traceback') :]}")

    async def _use_all_sequences(self) -> None:
        """As many answers as there are sequences can only have begun, all of them, if no sequence was lost."""
        begun = asyncio.Barrier(PARALLEL)

        async def answer(number: int) -> None:
            options = Options(cache_key=f"sequence {number}", sampling=Sampling(max_tokens=900))
            events = self._edge.generate(prompt("Tell a very long story about a harbour and all its ships."), options)
            await anext(events)
            await begun.wait()
            await events.aclose()

        try:
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                for number in range(PARALLEL):
                    group.create_task(answer(number))
        except TimeoutError:
            self.tally.violation(f"{PARALLEL} answers cannot run at once any more: a sequence is lost")

    async def _use(self, random: Random, capabilities: tuple[str, ...], until: float) -> None:
        """One who asks, waits for the end, and asks again; a third of all requests are given up."""
        traffic = Traffic(random, capabilities, STEADY)
        while time.monotonic() < until:
            request = traffic.draw()
            if random.random() < 0.33:
                request = left(request, random.choice((None, 0.0, 0.01, 0.1, 0.5, 1.0)))
            await self.tally.send(self._edge, request)

    async def _burst(self, random: Random, capabilities: tuple[str, ...], every_s: float, until: float) -> None:
        """More at once than the node takes: the rest is refused, and at once."""
        traffic = Traffic(random, capabilities, STEADY)
        while time.monotonic() + every_s < until:
            await asyncio.sleep(every_s)
            await asyncio.gather(*(self.tally.send(self._edge, traffic.draw()) for _ in range(3 * PLACES)))

    async def _swap(self, random: Random, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(random.uniform(0.0, 1.0))
            match random.randrange(5):
                case 0 | 1:
                    async with self._default:
                        await self._load(random.choice((*STEADY, "")))
                case 2:
                    async with self._default:
                        request = Request("load adapter", partial(_load, name=random.choice(STEADY)))
                        await self.tally.send(self._edge, left(request, random.choice((0.0, 0.001, 0.01, 0.05))))
                case 3:
                    bad = {"broken": InvalidInput, "nobody": NotFound, "../red": NotFound}
                    name, error = random.choice(list(bad.items()))
                    request = Request("load adapter", partial(_load, name=name), may=(error,), must=error)
                    await self.tally.send(self._edge, request)
                case _:
                    await asyncio.to_thread(write_adapter, self._place, "green", seed=random.randrange(1000))
                    options = Options(adapter="green", sampling=Sampling(max_tokens=4))
                    await self.tally.send(
                        self._edge, Request("new adapter", partial(finish, prompt=prompt(), options=options))
                    )

    async def _load(self, name: str) -> None:
        await self.tally.send(self._edge, Request("load adapter", partial(_load, name=name)))

    async def _watch(self, start: float, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(_SAMPLE_S)
            if time.monotonic() >= start:
                self.samples.append(self._node.sample())

    def _given_up(self, random: Random, number: int) -> tuple[str, Request]:
        options = Options(cache_key=str(number), sampling=Sampling(max_tokens=100))
        asked = prompt(f"What is {number} times {random.randrange(1000)}?")
        request = Request("cancelled", partial(finish, prompt=asked, options=options), may=(DeadlineExceeded,))
        chunks = random.randrange(3)

        async def begin(edge: EdgeClient) -> None:
            await leave(edge.generate(asked, options), chunks)

        moments = {
            "before the call": (1, left(request, None)),
            "at once": (7, left(request, 0.0)),
            "within 50 ms": (7, left(request, random.uniform(0.0, 0.05))),
            "in the answer": (1, Request("cancelled", begin)),
        }
        (moment,) = random.choices(list(moments), [weight for weight, _ in moments.values()])
        return moment, moments[moment][1]


async def _load(edge: EdgeClient, name: str) -> None:
    await edge.load_adapter(name)


async def soak(minutes: float, cancels: int, seed: int) -> Report:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "edge" / "adapters"
        place.mkdir(parents=True)
        for number, name in enumerate((*STEADY, "green")):
            write_adapter(place, name, seed=number)
        (place / "broken.gguf").write_text("not a GGUF")
        async with serving(Path(directory)) as node:
            edge = EdgeClient(node.address)
            run = Soak(edge, node, place, seed)
            _say(f"{_USERS} users ask for {minutes:g} minutes")
            await run.run(minutes * 60)
            before = node.sample()
            _say(f"{cancels} requests are given up")
            given_up = await run.cancel(cancels)
            _say("the node comes to rest")
            await run.settle()
            after = node.sample()
            await edge.close()
        return Report.of(
            minutes=minutes,
            seed=seed,
            tally=run.tally,
            memory=memory(run.samples),
            cancels=given_up,
            answers=run.answers,
            before=before,
            after=after,
            samples=run.samples,
        )


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.engine", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the users ask")
    parser.add_argument("--cancels", type=int, default=10_000, help="how many requests are given up afterwards")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    report = asyncio.run(soak(arguments.minutes, arguments.cancels, arguments.seed))
    report.write(arguments.out)
    print(report.text())
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
