"""The edge engine, in this process as in a daemon's, and the whole edge node behind gRPC."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from edgewise.ports import Generator
from edgewise.types import Chunk, Completion, Message, Options, Prompt, Sampling, Text
from tests.bench.engine.plan import Answer, Asked, Setup


async def ask(generator: Generator[Prompt], asked: Asked, options: Options) -> Answer:
    """One answer of our engine or our client, timed from before the call."""
    prompt = Prompt(
        messages=(
            Message(role="system", content=Text.ours(asked.system)),
            Message(role="user", content=Text.ours(asked.user)),
        )
    )
    arrivals, pieces, completion = [], [], None
    sent = time.monotonic()
    async with aclosing(generator.generate(prompt, options)) as events:
        async for event in events:
            if isinstance(event, Completion):
                completion = event
            elif isinstance(event, Chunk):
                arrivals.append(time.monotonic())
                pieces.append(event.text)
    assert completion is not None
    return Answer(
        sent_s=sent,
        arrivals_s=tuple(arrivals),
        prompt_tokens=completion.tokens.prompt_tokens,
        completion_tokens=completion.tokens.completion_tokens,
        cached_tokens=completion.tokens.cached_tokens,
        text="".join(pieces),
    )


def greedy(new_tokens: int) -> Options:
    return Options(sampling=Sampling(max_tokens=new_tokens))


class Ours:
    """`LlamaEngine` with log-probabilities, entropies and margins, which it always gives."""

    def __init__(self, setup: Setup, flash_attention: bool, *, repack: bool = True) -> None:
        self._setup = setup
        self._flash_attention = flash_attention
        self._repack = repack
        self.about = self.kernels = ""

    async def open(self) -> None:
        from edge.llama.engine import LlamaEngine
        from edge.llama.machine import calibration

        setup = self._setup
        self.engine = await LlamaEngine.open(
            Path(setup.model),
            context_tokens=setup.context_tokens,
            parallel=setup.parallel,
            threads=setup.threads,
            flash_attention=self._flash_attention,
            repack=self._repack,
        )
        from llama_cpp import llama_cpp

        tuned = calibration.tuning(self.engine.info.model_hash or "", setup.threads, self._flash_attention)
        self.about = f"{tuned}, repack {self._repack}, {setup.parallel} sequences of {setup.context_tokens} tokens"
        self.kernels = llama_cpp.llama_print_system_info().decode().strip()

    async def answer(self, asked: Asked, new_tokens: int) -> Answer:
        return await ask(self.engine, asked, greedy(new_tokens))

    def processes(self) -> tuple[int, ...]:
        return (os.getpid(),)

    async def close(self) -> None:
        await self.engine.close()


class OursOverGrpc:
    """`edge serve`, with its embedder and its document store, and EdgeClient in this process."""

    def __init__(self, setup: Setup, flash_attention: bool) -> None:
        self._setup = setup
        self._flash_attention = flash_attention
        flash = "on" if flash_attention else "off"
        self.about = (
            f"edge serve on a Unix socket: {setup.threads} threads, {setup.parallel} sequences, flash attention {flash}"
        )
        self.kernels = ""

    async def open(self) -> None:
        from edge.client import EdgeClient

        self._directory = tempfile.TemporaryDirectory(prefix="edgewise-bench-")
        address = f"unix:{self._directory.name}/edge.sock"
        setup = self._setup
        settings = {
            "MODEL": setup.model,
            "CONTEXT_TOKENS": str(setup.context_tokens),
            "PARALLEL": str(setup.parallel),
            "THREADS": str(setup.threads),
            "FLASH_ATTENTION": str(self._flash_attention).lower(),
        }
        environment = {**os.environ, "EDGEWISE_CONFIG": f"{self._directory.name}/none.toml"}
        environment |= {f"EDGEWISE_EDGE__{name}": value for name, value in settings.items()}
        self._process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "edge", "serve", "--address", address, "--data-dir", self._directory.name],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        assert self._process.stdout is not None
        if not (await self._process.stdout.readline()).startswith(b"ready"):
            raise RuntimeError(f"edge serve ended with {await self._process.wait()}; its log is above")
        self._client = EdgeClient(address)
        await self._client.connected()

    async def answer(self, asked: Asked, new_tokens: int) -> Answer:
        return await ask(self._client, asked, greedy(new_tokens))

    def processes(self) -> tuple[int, ...]:
        return (self._process.pid,)

    async def close(self) -> None:
        await self._client.close()
        self._process.terminate()
        await self._process.wait()
        self._directory.cleanup()
