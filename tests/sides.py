"""An edge and a cloud that say what a test wrote down, and remember what they were asked."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from edgewise.errors import EdgewiseError
from edgewise.types import (
    CLOUD_INFO,
    Author,
    Chunk,
    Completion,
    CostBasis,
    Findings,
    Options,
    Passage,
    Privacy,
    Prompt,
    Query,
    Quote,
    Reading,
    Released,
    Scores,
    SideStatus,
    Span,
    Text,
    Tokens,
)

# A token's log-probability in an answer that the trust model keeps, and in one that it does not.
SURE, UNSURE = -0.05, -3.0


@dataclass(frozen=True, slots=True)
class Say:
    """One answer, a token a word. In place of the token after `after` ones it may raise `error` or wait for ever."""

    text: str
    logprob: float | None = SURE
    delay_s: float = 0.0
    after: int = 0
    error: Exception | None = None
    hangs: bool = False
    never_ends: bool = False  # stops without a Completion

    @property
    def words(self) -> list[str]:
        return re.findall(r"\S+\s*", self.text)


class _Fake:
    """Answers in turn with what it was given; the last one is given again and again. `down` fails every call, and
    with `stuck` no search and no score ever returns."""

    author: Author

    def __init__(
        self,
        *answers: Say,
        passages: Sequence[Passage] = (),
        usd_per_mtok: float | None = None,
        usd_per_fetch: float | None = 0.0,
    ) -> None:
        self.answers = list(answers)
        self.passages = tuple(passages)
        self.usd_per_mtok = usd_per_mtok
        self.usd_per_fetch = usd_per_fetch
        self.down: EdgewiseError | None = None
        self.stuck = False
        self.prompts: list[Prompt] = []
        self.options: list[Options] = []
        self.queries: list[Query] = []
        self.scored: list[Prompt] = []
        self.glances = 0  # embeddings and readings
        self.tokens = 0  # that were handed out
        self.cut_short = 0  # answers that were closed before their end
        self.hanging = asyncio.Event()

    @property
    def calls(self) -> int:
        return len(self.prompts) + len(self.queries) + len(self.scored) + self.glances

    async def _say(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        self.prompts.append(prompt)
        self.options.append(options)
        if self.down:
            raise self.down
        say = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        try:
            await asyncio.sleep(say.delay_s)
            for place, word in enumerate([*say.words, ""]):
                if place == say.after:
                    await self._trouble(say)
                if word:
                    self.tokens += 1
                    known = () if say.logprob is None else (say.logprob,)
                    yield Chunk(text=word, logprobs=known, entropies=known, margins=known)
            if not say.never_ends:
                yield self._completion(prompt, len(say.words))
        except (asyncio.CancelledError, GeneratorExit):
            self.cut_short += 1
            raise

    async def _trouble(self, say: Say) -> None:
        if say.hangs:
            self.hanging.set()
            await asyncio.Event().wait()
        if say.error:
            raise say.error

    def _completion(self, prompt: Prompt, completion_tokens: int) -> Completion:
        prompt_tokens = sum(len(message.content.value.split()) for message in prompt.messages)
        both = prompt_tokens + completion_tokens
        return Completion(
            finish_reason="stop",
            tokens=Tokens(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens),
            model=f"fake-{self.author}",
            model_hash=f"hash-of-{self.author}",
            cost_usd=None if self.usd_per_mtok is None else both * self.usd_per_mtok / 1e6,
            cost_basis=None if self.usd_per_mtok is None else CostBasis.NOTIONAL,
            flops=2e6 * both,
        )

    async def _find(self, query: Query) -> Findings:
        self.queries.append(query)
        await self._up()
        cost = self.usd_per_fetch if self.author == "cloud" else None
        return Findings(passages=self.passages[: query.k], cost_usd=cost)

    async def _up(self) -> None:
        if self.down:
            raise self.down
        if self.stuck:
            self.hanging.set()
            await asyncio.Event().wait()

    async def status(self) -> SideStatus:
        if self.down:
            raise self.down
        price = self.usd_per_mtok
        return SideStatus(
            ready=True,
            model=f"fake-{self.author}",
            usd_per_mtok_prompt=price,
            usd_per_mtok_completion=price,
            usd_per_fetch=self.usd_per_fetch,
        )


class FakeEdge(_Fake):
    """`tools` are the ones that its scores choose, in turn; then it chooses to answer."""

    author: Author = "edge"

    def __init__(self, *answers: Say, passages: Sequence[Passage] = (), tools: Sequence[str] = ()) -> None:
        super().__init__(*answers, passages=passages)
        self.tools = tuple(tools)
        self.kept: tuple[Passage, ...] = ()
        self.kept_in: set[str] = set()
        self.reads = ""

    def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        return self._say(prompt, options)

    async def retrieve(self, query: Query) -> Findings:
        return await self._find(query)

    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        """The agent scores every choice twice, with its question and without one."""
        turn, without = divmod(len(self.scored), 2)
        self.scored.append(prompt)
        await self._up()
        wanted = self.tools[turn] if turn < len(self.tools) else "answer"
        chosen = [0.0 if name == wanted and not without else -1.0 for name in continuations]
        return Scores(logprobs=tuple(chosen), tokens=Tokens(prompt_tokens=1), flops=2e6)

    async def read(self, question: Text, passages: tuple[Passage, ...]) -> Reading:
        """Every passage is one sentence that matters, and nothing answers by itself, unless `reads` says so."""
        self.glances += 1
        await self._up()
        spans = [Span(start=0, end=len(passage.text.value)) for passage in passages]
        return Reading(
            sentences=tuple(Quote(passage=place, span=span, probability=0.5) for place, span in enumerate(spans)),
            answers=tuple(
                Quote(passage=place, span=Span(start=at, end=at + len(self.reads)), probability=0.9)
                for place, passage in enumerate(passages)
                if self.reads and (at := passage.text.value.find(self.reads)) >= 0
            ),
        )

    async def keep(self, passages: tuple[Passage, ...], collection: str = CLOUD_INFO) -> None:
        if self.down:
            raise self.down
        self.kept += passages
        self.kept_in.add(collection)

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        """Counts of three vowels, normalised."""
        self.glances += 1
        if self.down:
            raise self.down
        counts = [[1.0 + text.count(vowel) for vowel in "aei"] for text in texts]
        return tuple(tuple(count / math.hypot(*row) for count in row) for row in counts)


class FakeCloud(_Fake):
    author: Author = "cloud"

    def generate(self, prompt: Released[Prompt], options: Options) -> AsyncGenerator[Chunk | Completion]:
        return self._say(prompt.value, options)

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        return await self._find(query.value)

    @property
    def saw_nothing(self) -> bool:
        return not self.prompts and not self.queries


def passage(text: str, *, score: float = 0.9, origin: Author = "edge", label: Privacy = Privacy.PUBLIC) -> Passage:
    source = f"{origin}.txt"
    return Passage(
        id=f"{origin}-{text[:8]}", text=Text(value=text, label=label, sources=(source,)), source=source,
        score=score, origin=origin,
    )  # fmt: skip
