"""The engine on llama.cpp: the side that faces the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edge import memory, models
from edge.engine import EngineInfo, Load
from edge.llama import adapter_trial
from edge.llama.adapters import Adapter, Adapters
from edge.llama.answer import Grader, Writer
from edge.llama.chat_template import ChatTemplate, Rendered
from edge.llama.deadline import Deadline
from edge.llama.grammars.grammar import Grammar, Grammars
from edge.llama.job import Job, Steps
from edge.llama.machine import build, calibration, selftest
from edge.llama.machine.invariance import is_invariant
from edge.llama.native import NO_GPU, Gpu, Native
from edge.llama.owner import Owner
from edge.llama.prefixes import Prefixes, Space
from edge.llama.sampling import Gauge
from edge.llama.scheduler import Scheduler
from edge.models import digests
from edgewise.errors import ContextOverflow, EdgeUnavailable, EdgewiseError, InvalidInput, NotReady, Overloaded
from edgewise.types import Chunk, Completion, Options, Prompt, Scores

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

T = TypeVar("T")

_MIB = 1024 * 1024
_CLOSED = "the engine was closed; start it again"


class LlamaEngine:
    """`open` makes one, `close` frees it. Its two threads are the owner of llama.cpp, and one that tokenises.

    Up to `parallel` requests run at once, and `max_queue` more wait. It belongs to one event loop at a time.
    """

    def __init__(
        self,
        path: Path,
        owner: Owner,
        native: Native,
        *,
        info: EngineInfo,
        places: tuple[int, int],
        adapters: Adapters,
        repack: bool,
    ) -> None:
        self._path = path
        self._repack = repack
        self._owner = owner
        self._native = native
        self._template = ChatTemplate(native.facts.chat_template, native.vocabulary)
        self._grammars = Grammars(native.vocabulary)
        self._gauge = Gauge(native.vocabulary.size)
        self._info = info
        self._adapters = adapters
        self._tried: set[str] = set()
        self._context_tokens = native.facts.context_tokens
        self._parallel, self._max_queue = places
        self._present = 0
        self._typical_s = 1.0
        self._closed = False
        self._tokenizer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgewise-tokenizer")

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        context_tokens: int = 4096,
        parallel: int = 4,
        max_queue: int = 32,
        threads: int | None = None,
        flash_attention: bool | None = None,
        repack: bool = True,
        gpu: Gpu = NO_GPU,
        prefix_cache_mib: int = 128,
        prefix_directory: Path | None = None,
        adapter_directory: Path | None = None,
        label: str = "",
    ) -> LlamaEngine:
        """Load a GGUF. NotReady if it is missing, damaged, not what the catalogue says, has no chat template, or takes
        more memory than there is. One that is new here is loaded first by a child, which dies of what is wrong with it.

        `context_tokens`, a request's window, is capped at what the model was trained on. Without `threads` and
        `flash_attention` they are what was measured for this model here, or all cores and off. `repack` is Tuning's.
        Prefixes outlive the engine in `prefix_directory`.
        """
        digest = await asyncio.to_thread(_checked_digest, path)
        tuning = calibration.tuning(digest, threads, flash_attention, repack=repack)
        if gpu.layers == 0:
            await asyncio.to_thread(memory.check, path, context_tokens, parallel, tuning)
        await selftest.check(path, repack=repack)
        fingerprint = build.key(digest, str(context_tokens), str(parallel), str(tuning.flash_attention), str(repack))

        def load() -> tuple[Native, Scheduler, Callable[[], None]]:
            native = Native(path, context_tokens, parallel, tuning, gpu)
            prefixes = Prefixes(native, parallel, prefix_cache_mib * _MIB)
            scheduler = Scheduler(native, prefixes, tuning, is_invariant=is_invariant(native, parallel))
            if prefix_directory is None:
                return native, scheduler, lambda: None
            prefixes.read(prefix_directory, fingerprint)
            return native, scheduler, partial(prefixes.write, prefix_directory, fingerprint)

        owner = Owner(load)
        try:
            native = await asyncio.wrap_future(owner.loaded)
            model, facts = models.of(path), native.facts
            info = EngineInfo(
                model=model.name if model else path.stem,
                model_hash=digest,
                label=label or (model.label if model else facts.name),
                context_tokens=facts.context_tokens,
                parameters=facts.parameters,
                capabilities=("logprobs", "score", "tokenize", "grammar", "adapters", "surprisal"),
            )
            adapters = Adapters(adapter_directory)
            places = parallel, max_queue
            engine = cls(path, owner, native, info=info, places=places, adapters=adapters, repack=repack)
            await engine._load_remembered_adapter()
            return engine
        except BaseException:
            await asyncio.to_thread(owner.close)
            raise

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def load(self) -> Load:
        return Load(
            running=min(self._present, self._parallel),
            queued=max(0, self._present - self._parallel),
            adapter=self._adapters.active.name,
            adapters=self._adapters.names(),
        )

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        """What cannot be done is refused before the first chunk. Closing stops llama.cpp in milliseconds."""
        deadline = Deadline(options.timeout_s)
        with self._place():
            async with deadline.bound():
                adapter = await self._adapter(options.adapter)
                rendered = await self._render(prompt)
                self._check_room(len(rendered.tokens), options.sampling.max_tokens)
                grammar = await self._grammar(options)
            writer = Writer(
                native=self._native,
                gauge=self._gauge,
                info=self._info,
                options=options,
                grammar=grammar,
                surprising=slice(max(1, rendered.last.start), rendered.last.stop) if options.surprisal else slice(0, 0),
                adapter=adapter.name,
            )
            reusable = writer.surprising.start - 2 if options.surprisal else None
            job = self._job(writer, rendered, options, deadline, adapter=adapter, reusable=reusable)
            try:
                while True:
                    item = await job.next()
                    if isinstance(item, Completion):
                        self._learn(deadline)
                        yield item
                        return
                    yield item
            finally:
                self._owner.withdraw(job)

    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        """The prompt is evaluated once, whatever the number of continuations. InvalidInput for an empty one."""
        with self._place():
            rendered = await self._render(prompt)
            wanted = [_array(await self.tokenize(continuation)) for continuation in continuations]
            if not all(map(len, wanted)):
                raise InvalidInput("an empty continuation has no probability; leave it out")
            self._check_room(len(rendered.tokens), max(map(len, wanted), default=0))
            grader = Grader(self._gauge, self._info, wanted)
            options = Options(cache_key=cache_key)
            job = self._job(grader, rendered, options, Deadline(), adapter=self._adapters.active)
            try:
                scores: Scores = await job.next()
                return scores
            finally:
                self._owner.withdraw(job)

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a plain text; what looks like a control token in it is text too."""
        return tuple(await self._off_the_loop(partial(self._native.vocabulary.tokenize, text)))

    async def forget(self) -> None:
        """Drop what is kept in memory of prompts that were answered."""
        await asyncio.wrap_future(self._owner.call(lambda _, scheduler: scheduler.drop_prefixes()))

    async def load_adapter(self, name: str) -> str:
        """From the next request on; those that run go on with what they have. InvalidInput if it does not fit."""
        adapter = await self._find(name)

        def switch(native: Native, scheduler: Scheduler) -> None:
            if adapter.digest:
                native.load_adapter(adapter.path, adapter.digest)
            scheduler.default_adapter = adapter.digest
            native.keep_adapters(scheduler.adapters)

        await asyncio.wrap_future(self._owner.call(switch))
        await asyncio.to_thread(self._adapters.remember, adapter)
        return adapter.digest

    async def close(self) -> None:
        """Running requests get EdgeUnavailable, and so do waiting and later ones."""
        self._closed = True
        await asyncio.to_thread(self._tokenizer.shutdown)
        await asyncio.to_thread(self._owner.close)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places that run or wait. Overloaded at once when there is none, before any work is done."""
        if self._closed:
            raise EdgeUnavailable(_CLOSED)
        if self._present >= self._parallel + self._max_queue:
            wait_s = round(self._typical_s, 1)
            raise Overloaded(
                f"{self._parallel} requests run and {self._max_queue} wait for the model already; "
                f"try again in {wait_s} s",
                retry_after_s=wait_s,
            )
        self._present += 1
        try:
            yield
        finally:
            self._present -= 1

    def _learn(self, deadline: Deadline) -> None:
        """After how long a place becomes free."""
        took_s = time.monotonic() - deadline.asked
        self._typical_s += 0.2 * (max(0.1, took_s / self._parallel) - self._typical_s)

    def _job(
        self,
        steps: Callable[[Job], Steps],
        rendered: Rendered,
        options: Options,
        deadline: Deadline,
        *,
        adapter: Adapter,
        reusable: int | None = None,
    ) -> Job:
        job = Job(
            steps,
            _array(rendered.tokens),
            Space(options.cache_key, adapter.digest),
            reusable=len(rendered.tokens) if reusable is None else reusable,
            is_batch=options.priority == "batch",
            has_seed=options.sampling.seed is not None,
            deadline=deadline,
            adapter=adapter.path if adapter.digest else None,
        )
        self._owner.submit(job)
        return job

    async def _adapter(self, name: str) -> Adapter:
        return await self._find(name) if name else self._adapters.active

    async def _find(self, name: str) -> Adapter:
        """An adapter that was tried with this model, in a child process."""
        adapter = await self._adapters.find(name)
        if adapter.digest and adapter.digest not in self._tried:
            await adapter_trial.check(self._path, adapter, repack=self._repack)
            self._tried.add(adapter.digest)
        return adapter

    async def _load_remembered_adapter(self) -> None:
        """The default of the time before the restart; a file that is gone or broken is logged."""
        if name := await asyncio.to_thread(self._adapters.remembered):
            try:
                await self.load_adapter(name)
            except EdgewiseError as error:
                log.warning("the adapter %s, in use before, cannot be loaded: %s", name, error.message)

    async def _grammar(self, options: Options) -> Grammar | None:
        if not options.response_schema and not options.grammar:
            return None
        return await asyncio.to_thread(self._grammars.compile, options.response_schema, options.grammar)

    async def _render(self, prompt: Prompt) -> Rendered:
        return await self._off_the_loop(partial(self._template.render, prompt))

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        """A megabyte of text takes seconds to tokenise: no work for the event loop, nor to wait in the queue for."""
        if self._closed:
            raise EdgeUnavailable(_CLOSED)
        return await asyncio.get_running_loop().run_in_executor(self._tokenizer, work)

    def _check_room(self, prompt_tokens: int, more: int) -> None:
        if prompt_tokens + more > self._context_tokens:
            raise ContextOverflow(
                f"a prompt of {prompt_tokens} tokens and an answer of up to {more} exceed the context window of "
                f"{self._context_tokens} tokens; shorten the prompt or lower max_tokens"
            )


def _array(tokens: list[int] | tuple[int, ...]) -> NDArray[np.int32]:
    import numpy as np

    return np.array(tokens, np.int32)


def _checked_digest(path: Path) -> str:
    try:
        digest = digests.digest(path)
    except OSError as error:
        raise NotReady(f"{path} cannot be read: {error.strerror}; check the setting edge.model") from None
    models.check_hash(path, digest)
    return digest
