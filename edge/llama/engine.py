"""The engine on llama.cpp."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge import models
from edge.engine import EngineInfo, Load
from edge.llama.chat_template import ChatTemplate
from edge.llama.native import CHUNK, Native
from edge.llama.owner import Owner
from edge.llama.stream import TokenStream
from edgewise.errors import ContextOverflow, EdgeUnavailable, InvalidInput, NotReady
from edgewise.types import Chunk, Completion, FinishReason, Options, Prompt, Scores, Timings, Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LlamaEngine:
    """`open` makes one, `close` frees it. Its two threads are the owner of llama.cpp, and one that tokenises."""

    def __init__(self, owner: Owner, native: Native, info: EngineInfo) -> None:
        self._owner = owner
        self._vocabulary = native.vocabulary
        self._template = ChatTemplate(native.facts.chat_template, native.vocabulary)
        self._info = info
        self._context_tokens = native.facts.context_tokens
        self._closed = False
        self._tokenizer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgewise-tokenizer")

    @classmethod
    async def open(
        cls, path: Path, *, context_tokens: int = 4096, threads: int | None = None, max_queue: int = 32, label: str = ""
    ) -> LlamaEngine:
        """Load a GGUF. NotReady if it is missing, damaged, not what the catalogue says, or has no chat template.

        `context_tokens` is capped at what the model was trained on; `threads` are all cores if not given.
        """
        digest = await asyncio.to_thread(_checked_hash, path)
        owner = Owner(partial(Native, path, context_tokens, threads or os.cpu_count() or 1), max_queue)
        try:
            native = await asyncio.wrap_future(owner.loaded)
            model, facts = models.of(path), native.facts
            info = EngineInfo(
                model=model.name if model else path.stem,
                model_hash=digest,
                label=label or (model.label if model else facts.name),
                context_tokens=facts.context_tokens,
                parameters=facts.parameters,
            )
            return cls(owner, native, info)
        except BaseException:
            await asyncio.to_thread(owner.close)
            raise

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def load(self) -> Load:
        return Load(queued=self._owner.queued)

    async def load_adapter(self, name: str) -> str:
        raise NotReady("not there yet")

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        """ContextOverflow and Overloaded come before the first chunk. Closing stops llama.cpp in milliseconds."""
        tokens = await self._prompt_tokens(prompt)
        self._check_room(len(tokens), options.sampling.max_tokens)
        job = self._owner.submit(partial(_generate, tokens=tokens, options=options, info=self._info))
        try:
            while True:
                item = await job.next()
                yield item
                if isinstance(item, Completion):
                    return
        finally:
            self._owner.withdraw(job)

    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        """The prompt is evaluated once, whatever the number of continuations. InvalidInput for an empty one."""
        tokens = await self._prompt_tokens(prompt)
        wanted = [list(await self.tokenize(continuation)) for continuation in continuations]
        if not all(wanted):
            raise InvalidInput("an empty continuation has no probability; leave it out")
        self._check_room(len(tokens), max(map(len, wanted), default=0))
        job = self._owner.submit(
            partial(_score, tokens=tokens, continuations=wanted, cache_key=cache_key, info=self._info)
        )
        try:
            return await job.next()
        finally:
            self._owner.withdraw(job)

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a plain text; what looks like a control token in it is text too."""
        return tuple(await self._off_the_loop(partial(self._vocabulary.tokenize, text)))

    async def close(self) -> None:
        """Running requests get EdgeUnavailable, and so do waiting and later ones."""
        self._closed = True
        await asyncio.to_thread(self._tokenizer.shutdown)
        await asyncio.to_thread(self._owner.close)

    async def _prompt_tokens(self, prompt: Prompt) -> list[int]:
        return await self._off_the_loop(partial(self._template.tokens, prompt))

    async def _off_the_loop(self, work: partial[list[int]]) -> list[int]:
        """A megabyte of text takes seconds to tokenise: no work for the event loop, nor to wait in the queue for."""
        if self._closed:
            raise EdgeUnavailable("the engine was closed; start it again")
        return await asyncio.get_running_loop().run_in_executor(self._tokenizer, work)

    def _check_room(self, prompt_tokens: int, more: int) -> None:
        if prompt_tokens + more > self._context_tokens:
            raise ContextOverflow(
                f"a prompt of {prompt_tokens} tokens and an answer of up to {more} exceed the context window of "
                f"{self._context_tokens} tokens; shorten the prompt or lower max_tokens"
            )


def _generate(
    native: Native, queue_s: float, *, tokens: list[int], options: Options, info: EngineInfo
) -> Iterator[Chunk | Completion]:
    started = time.monotonic()
    sampling, words = options.sampling, native.vocabulary
    cached = native.begin(options.cache_key, tokens)
    evaluated = time.monotonic()
    stream = TokenStream(sampling.stop)
    drawn = 0
    finish_reason: FinishReason = "length"
    with native.sampler(sampling) as sampler:
        while drawn < sampling.max_tokens:
            token = sampler.draw()
            if words.ends(token):
                finish_reason = "stop"
                break
            drawn += 1
            if chunk := stream.push(words.piece(token), _logprob(native.logits(), token)):
                yield chunk
            if stream.stopped:
                finish_reason = "stop"
                break
            if drawn < sampling.max_tokens:
                native.evaluate([token])
    if rest := stream.finish():
        yield rest
    yield Completion(
        finish_reason=finish_reason,
        tokens=Tokens(prompt_tokens=len(tokens), completion_tokens=drawn, cached_tokens=cached),
        timings=Timings(queue_s=queue_s, prompt_s=evaluated - started, decode_s=time.monotonic() - evaluated),
        model=info.model,
        model_hash=info.model_hash,
        flops=None if info.parameters is None else 2.0 * info.parameters * (len(tokens) - cached + drawn),
    )


def _score(
    native: Native,
    _: float,
    *,
    tokens: list[int],
    continuations: Sequence[list[int]],
    cache_key: str,
    info: EngineInfo,
) -> Iterator[Scores]:
    cached = native.begin(cache_key, tokens)
    first = native.logits().copy()
    scores = []
    for continuation in continuations:
        if native.cut(len(tokens)) < len(tokens):
            native.begin(cache_key, tokens)
        score = _logprob(first, continuation[0])
        for start in range(0, len(continuation) - 1, CHUNK):
            following = continuation[start + 1 : start + 1 + CHUNK]
            native.evaluate(continuation[start : start + len(following)], every=True)
            score += sum(_logprob(native.logits(row), token) for row, token in enumerate(following))
        scores.append(score)
    scored = sum(map(len, continuations))
    yield Scores(
        logprobs=tuple(scores),
        tokens=Tokens(prompt_tokens=len(tokens) + scored, cached_tokens=cached),
        flops=None if info.parameters is None else 2.0 * info.parameters * (len(tokens) - cached + scored),
    )


def _logprob(logits: NDArray[np.float32], token: int) -> float:
    """The natural-log softmax of one entry; rounding must not make it positive."""
    import numpy as np

    top = logits.max()
    return min(0.0, float(logits[token] - top) - math.log(float(np.exp(logits - top).sum())))


def _checked_hash(path: Path) -> str:
    try:
        digest = models.sha256(path)
    except OSError as error:
        raise NotReady(f"{path} cannot be read: {error.strerror}; check the setting edge.model") from None
    models.check_hash(path, digest)
    return digest
