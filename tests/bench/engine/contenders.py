"""Who is measured: each one loads the same model and answers the same chat requests, streaming."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from edge.llama import kernels
from tests.bench.engine.plan import Answer, Asked, Setup, Visit


class Contender(Protocol):
    """`about` says how it is configured, `kernels` which instructions its llama.cpp uses. Both are there once it is
    open, and so are the processes that it consists of."""

    about: str
    kernels: str

    async def open(self) -> None: ...

    async def answer(self, asked: Asked, new_tokens: int) -> Answer: ...

    def processes(self) -> tuple[int, ...]: ...

    async def close(self) -> None: ...


def make(visit: Visit) -> Contender:
    from tests.bench.engine import ours, servers

    setup, flash = visit.setup, visit.flash_attention
    contenders: dict[str, Callable[[], Contender]] = {
        "bare": lambda: Bare(setup, flash),
        "bare_repacked": lambda: Bare(setup, flash, repack=True),
        "lock": lambda: Lock(setup, flash),
        "server": lambda: servers.LlamaServer(setup, flash, visit.program),
        "xllamacpp": lambda: servers.Xllamacpp(setup, flash, visit.program),
        "ours": lambda: ours.Ours(setup, flash),
        "ours_plain": lambda: ours.Ours(setup, flash, repack=False),
        "ours_grpc": lambda: ours.OursOverGrpc(setup, flash),
    }
    return contenders[visit.contender]()


def messages(asked: Asked) -> list[Any]:
    """As OpenAI, and the bindings after it, write them."""
    return [{"role": "system", "content": asked.system}, {"role": "user", "content": asked.user}]


class Bare:
    """llama.cpp from Python with nothing around it: one sequence, one request, greedy. For one stream only."""

    def __init__(self, setup: Setup, flash_attention: bool, *, repack: bool = False) -> None:
        self._setup = setup
        self._flash_attention = flash_attention
        self._repack = repack
        self.about = _about(setup, flash_attention)
        self.kernels = ""

    async def open(self) -> None:
        from llama_cpp import llama_cpp as llama
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self._llama = llama
        self._log = llama.llama_log_callback(_ignore)
        llama.llama_log_set(self._log, None)
        llama.llama_backend_init()
        if self._repack and not kernels.use():
            raise RuntimeError("this build of llama.cpp does not have the edge engine's kernels")
        self._model = llama.llama_model_load_from_file(self._setup.model.encode(), llama.llama_model_default_params())
        params = llama.llama_context_default_params()
        params.n_ctx = self._setup.context_tokens
        params.n_threads = params.n_threads_batch = self._setup.threads
        params.flash_attn_type = (
            llama.LLAMA_FLASH_ATTN_TYPE_ENABLED if self._flash_attention else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        self._context = llama.llama_init_from_model(self._model, params)
        self._vocabulary = llama.llama_model_get_vocab(self._model)
        self._sampler = llama.llama_sampler_init_greedy()
        template = llama.llama_model_chat_template(self._model, None).decode()
        self._format = Jinja2ChatFormatter(template, bos_token="", eos_token="")
        self.kernels = llama.llama_print_system_info().decode().strip()

    async def answer(self, asked: Asked, new_tokens: int) -> Answer:
        """Blocks the event loop, which has nothing else to do."""
        llama, sent, arrivals, pieces = self._llama, time.monotonic(), [], []
        text = self._format(messages=messages(asked)).prompt.encode()
        tokens = (llama.llama_token * len(text))()
        count = llama.llama_tokenize(self._vocabulary, text, len(text), tokens, len(tokens), False, True)
        llama.llama_memory_clear(llama.llama_get_memory(self._context), False)
        self._decode(tokens, count)
        one = (llama.llama_token * 1)()
        buffer = bytes(64)
        for drawn in range(new_tokens):
            one[0] = llama.llama_sampler_sample(self._sampler, self._context, -1)
            if llama.llama_vocab_is_eog(self._vocabulary, one[0]):
                break
            length = llama.llama_token_to_piece(self._vocabulary, one[0], buffer, len(buffer), 0, False)
            pieces.append(buffer[: max(length, 0)])
            arrivals.append(time.monotonic())
            if drawn + 1 < new_tokens:
                self._decode(one, 1)
        return Answer(
            sent_s=sent,
            arrivals_s=tuple(arrivals),
            prompt_tokens=count,
            completion_tokens=len(arrivals),
            cached_tokens=0,
            text=b"".join(pieces).decode(errors="replace"),
        )

    def processes(self) -> tuple[int, ...]:
        return (os.getpid(),)

    async def close(self) -> None:
        self._llama.llama_free(self._context)
        self._llama.llama_model_free(self._model)

    def _decode(self, tokens: Any, count: int) -> None:
        status = self._llama.llama_decode(self._context, self._llama.llama_batch_get_one(tokens, count))
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")


class Lock:
    """`llama_cpp.Llama`, which serves one request at a time: the others wait for an asyncio lock, first come first."""

    def __init__(self, setup: Setup, flash_attention: bool) -> None:
        self._setup = setup
        self._flash_attention = flash_attention
        self._lock = asyncio.Lock()
        self.about = _about(setup, flash_attention)
        self.kernels = ""

    async def open(self) -> None:
        import llama_cpp

        setup = self._setup
        self._llama = llama_cpp.Llama(
            setup.model,
            n_ctx=setup.context_tokens,
            n_threads=setup.threads,
            n_threads_batch=setup.threads,
            flash_attn=self._flash_attention,
            verbose=False,
        )
        self.kernels = llama_cpp.llama_print_system_info().decode().strip()

    async def answer(self, asked: Asked, new_tokens: int) -> Answer:
        sent = time.monotonic()
        async with self._lock:
            return await asyncio.to_thread(self._answer, sent, asked, new_tokens)

    def _answer(self, sent: float, asked: Asked, new_tokens: int) -> Answer:
        arrivals: list[float] = []
        pieces: list[str] = []
        last_draw_is_evaluated = False
        parts: Any = self._llama.create_chat_completion(
            messages(asked), max_tokens=new_tokens, temperature=0.0, stream=True
        )
        for part in parts:
            choice = part["choices"][0]
            if text := choice["delta"].get("content"):
                arrivals.append(time.monotonic())
                pieces.append(text)
            last_draw_is_evaluated = choice["finish_reason"] == "stop"
        # It streams no usage. At the limit, the last token was drawn and not evaluated.
        drawn = self._llama.n_tokens - asked.tokens + (0 if last_draw_is_evaluated else 1)
        return Answer(
            sent_s=sent,
            arrivals_s=tuple(arrivals),
            prompt_tokens=asked.tokens,
            completion_tokens=drawn,
            text="".join(pieces),
        )

    def processes(self) -> tuple[int, ...]:
        return (os.getpid(),)

    async def close(self) -> None:
        self._llama.close()


def _about(setup: Setup, flash_attention: bool) -> str:
    flash = "on" if flash_attention else "off"
    return f"flash attention {flash}, {setup.threads} threads, one sequence of {setup.context_tokens} tokens"


def _ignore(_level: int, _text: bytes, _data: object) -> None:
    """llama.cpp's log is of no interest while it works."""
