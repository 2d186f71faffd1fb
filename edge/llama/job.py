"""A request on its way through the engine: what it wants evaluated, step by step, and who hears of what comes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge.llama.deadline import Deadline
from edge.llama.native import Flag, Native, Work
from edge.llama.prefixes import Slot, Space
from edgewise.errors import EdgewiseError, NotReady

if TYPE_CHECKING:
    from edge.llama.native import Logits, Tokens


@dataclass(frozen=True, slots=True)
class Need:
    """Append these tokens to the sequence, whose first `keep` tokens stay (all, if None)."""

    tokens: Tokens
    wanted: Literal["last", "every"] = "last"
    keep: int | None = None


@dataclass(frozen=True, slots=True)
class Branches:
    """All logits of several continuations of the sequence's first `keep` tokens, which is what it is afterwards.

    As many of them, from the first on, as there is room for: `Found.branches` says how many.
    """

    tokens: Sequence[Tokens]
    keep: int


@dataclass(frozen=True, slots=True)
class Found:
    """Logits, [wanted tokens, vocabulary], valid until the next need; `index` is where the last of them stands in the
    evaluation."""

    rows: Logits
    index: int
    branches: int = 0


Steps = Generator[Need | Branches, Found, None]
"""The work of a request, written as if it were alone: it yields what it needs, and is sent what was found."""


class Job:
    """Made on an event loop, worked on by the engine's thread; `reusable` of the prompt's tokens may be cached."""

    def __init__(
        self,
        steps: Callable[[Job], Steps],
        prompt: Tokens,
        space: Space,
        *,
        reusable: int,
        is_batch: bool = False,
        has_seed: bool = False,
        deadline: Deadline | None = None,
        adapter: Path | None = None,
    ) -> None:
        self.prompt = prompt
        self.space = space
        self.reusable = reusable
        self.is_batch = is_batch
        self.has_seed = has_seed
        self.flag = Flag()
        self._deadline = deadline or Deadline()
        self.submitted = self._deadline.asked
        self.known = 0
        self.queue_s = 0.0
        self.cached = 0
        self._make = steps
        self._adapter = adapter
        self._steps: Steps | None = None
        self._native: Native | None = None
        self._slot: Slot | None = None
        self._need: Need | Branches | None = None
        self._done = 0
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Any] = asyncio.Queue()
        self._unsent: list[object] = []

    # On the event loop.

    async def next(self) -> Any:
        """The next item, or what went wrong; which item is the last is up to the steps."""
        async with self._deadline.bound():
            item = await self._items.get()
        if isinstance(item, EdgewiseError):
            raise item
        return item

    # On the engine's thread.

    def put(self, item: object) -> None:
        """For `next`, once it is sent."""
        self._unsent.append(item)

    @staticmethod
    def send(jobs: Iterable[Job]) -> None:
        """All that they have put; to wake an event loop costs as much as a token's other work, so once is enough."""
        parcels: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Queue[Any], list[object]]]] = {}
        for job in jobs:
            if job._unsent:
                parcels.setdefault(job._loop, []).append((job._items, job._unsent))
                job._unsent = []
        for loop, parcel in parcels.items():
            with suppress(RuntimeError):  # a loop that is closed has nobody waiting
                loop.call_soon_threadsafe(_unpack, parcel)

    @property
    def left(self) -> int:
        """How many tokens of its need are not evaluated yet."""
        match self._need:
            case Need(tokens):
                return len(tokens) - self._done
            case Branches(tokens):
                return sum(map(len, tokens)) + 1  # more than one, so that it counts as a prompt
        return 0

    @property
    def sequence(self) -> int:
        """Where it is in the KV cache, from its start on."""
        assert self._slot is not None
        return self._slot.sequence

    @property
    def is_whole(self) -> bool:
        """Its need is met in one evaluation, because all of its logits are wanted."""
        return isinstance(self._need, Need) and self._need.wanted == "every"

    @property
    def branches(self) -> int:
        return len(self._need.tokens) if isinstance(self._need, Branches) else 0

    def fork(self, slots: Sequence[Slot], room: int) -> list[Work]:
        """One branch in its own sequence, the others in copies of it; no more than `room` tokens in all."""
        assert isinstance(self._need, Branches)
        assert self._slot is not None
        assert self._native is not None
        works: list[Work] = []
        for slot, tokens in zip((self._slot, *slots), self._need.tokens, strict=False):
            room -= len(tokens)
            if room < 0:
                break
            works.append(Work(slot.sequence, self._slot.length, tokens, "every"))
        state = self._native.save(self._slot.sequence) if len(works) > 1 else None
        for number, work in enumerate(works[1:], start=1):
            if state is None or not self._native.restore(work.sequence, state):
                return works[:number]
        return works

    def work(self, count: int) -> Work:
        """The next `count` tokens of the need."""
        assert isinstance(self._need, Need)
        assert self._slot is not None
        is_last = count == self.left
        tokens = self._need.tokens[self._done : self._done + count]
        return Work(self._slot.sequence, self._slot.length, tokens, self._need.wanted if is_last else "none")

    def start(self, native: Native, slot: Slot) -> None:
        self._native = native
        self._slot = slot
        self.cached = slot.length
        self.queue_s = time.monotonic() - self.submitted
        if self._adapter:
            native.load_adapter(self._adapter, self.space.adapter)
        self._steps = self._make(self)
        self._want(next(self._steps))

    def advance(self, count: int, found: Found) -> bool:
        """These tokens are evaluated; false when the job is over."""
        assert self._slot is not None
        self._slot.length += count
        self._done += count
        return self.left > 0 or self.answer(found)

    def answer(self, found: Found) -> bool:
        """Its need is met; false when the job is over."""
        assert self._steps is not None
        try:
            self._want(self._steps.send(found))
        except StopIteration:
            return False
        return True

    def rewind(self) -> None:
        """Forget what an evaluation that failed has left in the sequence."""
        self._cut(self._slot.length if self._slot else 0)

    def end(self) -> Slot | None:
        """Close what is open, and give the sequence back."""
        if self._steps is not None:
            self._steps.close()
        return self._slot

    def _want(self, need: Need | Branches) -> None:
        self._need, self._done = need, 0
        if need.keep is not None and self._cut(need.keep) != need.keep:
            raise NotReady("this kind of model cannot go back in a text, which scoring takes; choose a transformer")

    def _cut(self, length: int) -> int:
        assert self._slot is not None
        assert self._native is not None
        self._slot.length = self._native.cut(self._slot.sequence, length)
        return self._slot.length


def _unpack(parcel: list[tuple[asyncio.Queue[Any], list[object]]]) -> None:
    for items, put in parcel:
        for item in put:
            items.put_nowait(item)
