"""What the soak asks of an edge node: requests of every kind, at random, and how each of them may end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from edge.client import EdgeClient
from edgewise.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EdgewiseError,
    InvalidInput,
    NotFound,
    NotReady,
    TooLarge,
)
from edgewise.types import Chunk, Completion, Message, Options, Prompt, Sampling, Text
from tests.soak.child import CONTEXT_TOKENS

WORDS = (
    "river",
    "stone",
    "lamp",
    "harbour",
    "monk",
    "winter",
    "ledger",
    "bridge",
    "copper",
    "sail",
    "orchard",
    "clock",
)
SYSTEM = "You keep the books of a harbour. " + "Every ship pays by its length, and every barrel is counted twice. " * 8
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "year": {"type": "integer"}},
        "required": ["name", "year"],
        "additionalProperties": False,
    }
)
GRAMMAR = 'root ::= "yes" | "no"'


Send = Callable[[EdgeClient], Coroutine[object, object, object]]


class Violation(Exception):
    """Something that must never happen."""


class GivenUp(Exception):
    """A request was cancelled before its end, as it should be."""


@dataclass(frozen=True, slots=True)
class Request:
    """`send` raises what the request ends in, if it is not answered: Overloaded, or one of these errors."""

    kind: str
    send: Send
    may: tuple[type[EdgewiseError], ...] = ()
    must: type[EdgewiseError] | None = None


class Traffic:
    """Draws requests. `capabilities` are the node's; `adapters` those that nobody replaces."""

    def __init__(self, random: Random, capabilities: Sequence[str], adapters: Sequence[str]) -> None:
        self._random = random
        self._can_grammar = "grammar" in capabilities
        self._adapters = tuple(adapters)
        kinds: list[tuple[int, Callable[[], Request]]] = [
            (20, self._short),
            (8, self._long),
            (6, self._samples),
            (8, self._score),
            (4, self._tokenize),
            (6, self._surprisal),
            (6, self._batch),
            (8, self._deadline),
            (8, self._adapted),
            (10, self._bad),
        ]
        if self._can_grammar:
            kinds += [(6, self._schema), (3, self._grammar)]
        self._weights, self._kinds = zip(*kinds, strict=True)

    def draw(self) -> Request:
        (kind,) = self._random.choices(self._kinds, self._weights)
        request: Request = kind()
        return request

    # --- what is answered ---------------------------------------------------------------------------------------------

    def _short(self) -> Request:
        return Request("short", partial(finish, prompt=self._prompt(), options=self._options()))

    def _long(self) -> Request:
        prompt = self._prompt(self._random.randint(150, 600))
        return Request("long", partial(finish, prompt=prompt, options=self._options()))

    def _samples(self) -> Request:
        """Several samples of one prompt at once, which share its evaluation."""
        prompt, key = self._prompt(40), self._key()
        drawn = Sampling(max_tokens=self._random.randint(1, 24), temperature=1.0)

        async def send(edge: EdgeClient) -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(finish(edge, prompt, Options(cache_key=key, sampling=drawn)))

        return Request("samples", partial(_first_error, send))

    def _score(self) -> Request:
        labels = tuple(self._random.sample(WORDS, self._random.randint(1, 6)))
        prompt, key = self._prompt(), self._key()

        async def send(edge: EdgeClient) -> None:
            scores = await edge.score(prompt, labels, key)
            if len(scores.logprobs) != len(labels) or max(scores.logprobs) > 0:
                raise Violation(f"{len(labels)} labels were scored {scores.logprobs}")

        return Request("score", send)

    def _tokenize(self) -> Request:
        text = self._text(self._random.randint(1, 200))

        async def send(edge: EdgeClient) -> None:
            if not await edge.tokenize(text):
                raise Violation("a text has no tokens")

        return Request("tokenize", send)

    def _surprisal(self) -> Request:
        prompt, options = self._prompt(30), self._options().model_copy(update={"surprisal": True})

        async def send(edge: EdgeClient) -> None:
            _, completion = await finish(edge, prompt, options)
            if not completion.prompt_surprisal:
                raise Violation("there is no surprisal")

        return Request("surprisal", send)

    def _batch(self) -> Request:
        options = self._options().model_copy(update={"priority": "batch"})
        return Request("batch", partial(finish, prompt=self._prompt(), options=options))

    def _deadline(self) -> Request:
        """Too short, perhaps enough, or over before it begins."""
        timeout_s = self._random.choice((0.0, 0.0, 0.05, 0.5, 2.0))
        options = self._options().model_copy(update={"timeout_s": timeout_s})
        must = None if timeout_s else DeadlineExceeded
        send = partial(finish, prompt=self._prompt(60), options=options)
        return Request("deadline", send, may=(DeadlineExceeded,), must=must)

    def _adapted(self) -> Request:
        name, prompt = self._random.choice(self._adapters), self._prompt()
        options = self._options().model_copy(update={"adapter": name})

        async def send(edge: EdgeClient) -> None:
            _, completion = await finish(edge, prompt, options)
            if completion.adapter != name:
                raise Violation(f"{name} was asked, {completion.adapter} answered")

        return Request("adapter", send)

    def _schema(self) -> Request:
        prompt, options = self._prompt(), Options(response_schema=SCHEMA, sampling=Sampling(max_tokens=64, seed=0))

        async def send(edge: EdgeClient) -> None:
            text, completion = await finish(edge, prompt, options)
            if completion.finish_reason == "stop" and json.loads(text).keys() != {"name", "year"}:
                raise Violation(f"an answer does not obey its schema: {text}")

        return Request("schema", send)

    def _grammar(self) -> Request:
        prompt, options = self._prompt(), Options(grammar=GRAMMAR, sampling=Sampling(max_tokens=16, temperature=1.0))

        async def send(edge: EdgeClient) -> None:
            text, _ = await finish(edge, prompt, options)
            if text not in {"yes", "no"}:
                raise Violation(f"an answer does not obey its grammar: {text}")

        return Request("grammar", send)

    # --- what is refused ----------------------------------------------------------------------------------------------

    def _bad(self) -> Request:
        prompt = self._prompt()
        wrong = Sampling.model_construct(max_tokens=-1)
        refused: list[tuple[type[EdgewiseError], Prompt, Options]] = [
            (ContextOverflow, self._prompt(CONTEXT_TOKENS), Options()),
            (ContextOverflow, prompt, Options(sampling=Sampling(max_tokens=CONTEXT_TOKENS))),
            (InvalidInput, prompt, Options().model_copy(update={"sampling": wrong})),
            (InvalidInput, Prompt.model_construct(messages=()), Options()),
            (TooLarge, _ask("a" * 1_100_000), Options()),
            (NotFound, prompt, Options(adapter="nobody")),
            (NotFound, prompt, Options(adapter="../red")),
            (InvalidInput, prompt, Options(adapter="broken")),
            (InvalidInput if self._can_grammar else NotReady, prompt, Options(grammar="root ::= (")),
            (InvalidInput if self._can_grammar else NotReady, prompt, Options(response_schema='{"type": 7}')),
        ]
        error, prompt, options = self._random.choice(refused)
        return Request("bad", partial(finish, prompt=prompt, options=options), may=(error,), must=error)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _prompt(self, words: int = 0) -> Prompt:
        return _ask(self._text(words or self._random.randint(3, 30)), SYSTEM if self._random.random() < 0.3 else "")

    def _text(self, words: int) -> str:
        return " ".join(self._random.choices(WORDS, k=words)).capitalize() + "?"

    def _options(self) -> Options:
        random = self._random
        sampling = Sampling(
            max_tokens=random.choice((1, 2, 8, 24, 60)),
            temperature=random.choice((0.0, 0.0, 0.7, 1.5)),
            top_k=random.choice((0, 40)),
            top_p=random.choice((1.0, 0.9)),
            repeat_penalty=random.choice((1.0, 1.1)),
            seed=random.choice((None, random.randrange(1000))),
            stop=random.choice(((), ("the",), ("\n", " and"))),
        )
        return Options(cache_key=self._key(), sampling=sampling)

    def _key(self) -> str:
        return self._random.choice(("", "", "a", "b", str(self._random.random())))


async def finish(edge: EdgeClient, prompt: Prompt, options: Options) -> tuple[str, Completion]:
    """The whole answer; a Violation unless it has one end, and that last."""
    texts: list[str] = []
    completions: list[Completion] = []
    async with aclosing(edge.generate(prompt, options)) as events:
        async for event in events:
            if completions:
                raise Violation(f"after its end an answer goes on with {type(event).__name__}")
            if isinstance(event, Completion):
                completions.append(event)
            else:
                texts.append(event.text)
    if not completions:
        raise Violation("an answer has no end")
    return "".join(texts), completions[0]


async def leave(events: AsyncGenerator[Chunk | Completion], after: int) -> None:
    """Close an answer after so many chunks; GivenUp unless it ends before."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Completion):
                return
            after -= 1
            if after < 0:
                raise GivenUp


def left(request: Request, delay_s: float | None) -> Request:
    """A request that is cancelled: so long after its start, or before anything of it has run."""

    async def send(edge: EdgeClient) -> None:
        task = asyncio.create_task(_run(request, edge))
        try:
            if delay_s is not None:
                await asyncio.wait({task}, timeout=delay_s)
        finally:
            task.cancel()
        await asyncio.wait({task})
        if task.cancelled():
            raise GivenUp
        task.result()

    return replace(request, kind="cancelled", send=send, must=None)


async def _run(request: Request, edge: EdgeClient) -> None:
    await request.send(edge)


def _ask(text: str, system: str = "") -> Prompt:
    user = Message(role="user", content=Text(value=text))
    return Prompt(messages=(Message(role="system", content=Text(value=system)), user) if system else (user,))


async def _first_error(send: Send, edge: EdgeClient) -> None:
    try:
        await send(edge)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
