"""The only file that knows llama.cpp's bindings: a loaded model with one sequence of evaluated tokens.

Everything but `Vocabulary` belongs to one thread. Pointers are freed in `close`, and nowhere else.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edgewise.errors import Internal, InvalidInput, NotReady
from edgewise.types import Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Logits = NDArray[np.float32]

CHUNK = 256
"""Tokens in one decode."""
_PENALTY_WINDOW = 64
# One token of a small model is too little work to share: with 135 M parameters, threads that sleep between their shares
# generate half as fast as one alone, and threads that spin a tenth as fast when another program wants a core.
_ONE_THREAD_PARAMETERS = 500e6
_LOG_LEVEL_ERROR = 4
_ABORTED = 2


class Aborted(Exception):
    """A flag stopped an evaluation; the sequence is empty."""


class Flag:
    """Raised by any thread, read by llama.cpp several hundred times a token.

    llama.cpp takes a C function from an address to a truth value. The C library's `strlen` is one: of an empty string
    it says 0, of one letter 1. A Python function would wait for the interpreter's lock at every call.
    """

    def __init__(self) -> None:
        self._letter = ctypes.create_string_buffer(2)
        self.address = ctypes.addressof(self._letter)

    def raise_(self) -> None:
        self._letter[0] = b"!"


class Vocabulary:
    """Text to tokens and back; safe to use from several threads at once, until the model is closed."""

    def __init__(self, model: Any) -> None:
        from llama_cpp import llama_cpp as llama

        self._llama = llama
        self._vocab = llama.llama_model_get_vocab(model)
        self.size: int = llama.llama_vocab_n_tokens(self._vocab)
        self.bos: int = llama.llama_vocab_bos(self._vocab)
        self.eos: int = llama.llama_vocab_eos(self._vocab)
        self.adds_bos: bool = llama.llama_vocab_get_add_bos(self._vocab)

    def tokenize(self, text: str, control: bool = False) -> list[int]:
        """`control` reads control tokens such as <|im_end|>; without it they are plain text, as in what users write."""
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise InvalidInput("the text holds half a surrogate pair, which is not valid Unicode; remove it") from None
        wanted = -self._llama.llama_tokenize(self._vocab, data, len(data), None, 0, False, control)
        tokens = (self._llama.llama_token * max(wanted, 0))()
        self._llama.llama_tokenize(self._vocab, data, len(data), tokens, len(tokens), False, control)
        return list(tokens)

    def piece(self, token: int) -> bytes:
        """The bytes of a token, which may end inside a character; none for a control token."""
        buffer = ctypes.create_string_buffer(64)
        length = self._llama.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._llama.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[:length]

    def name(self, token: int) -> str:
        """How a chat template writes a token; empty for a token that the model does not have."""
        if token < 0:
            return ""
        name: bytes = self._llama.llama_vocab_get_text(self._vocab, token)
        return name.decode(errors="replace")

    def ends(self, token: int) -> bool:
        """The model says with this token that it is done."""
        return bool(self._llama.llama_vocab_is_eog(self._vocab, token))


@dataclass(frozen=True, slots=True)
class Facts:
    name: str
    parameters: int
    context_tokens: int
    chat_template: str | None


class Native:
    """A model and the tokens that its KV cache holds."""

    def __init__(self, path: Path, context_tokens: int, threads: int) -> None:
        """NotReady if the file cannot be loaded. The context never exceeds what the model was trained on."""
        self._log = _start()
        self._log.clear()
        self._llama = llama = self._log.llama
        self._model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        if not self._model:
            raise NotReady(f"llama.cpp cannot load {path} ({self._log}); it is damaged or too new: fetch it again")
        context_tokens = min(context_tokens, llama.llama_model_n_ctx_train(self._model))
        alone = llama.llama_model_n_params(self._model) < _ONE_THREAD_PARAMETERS
        params = _context_params(llama, context_tokens, prompt_threads=threads, threads=1 if alone else threads)
        self._context = llama.llama_init_from_model(self._model, params)
        if not self._context:
            llama.llama_model_free(self._model)
            raise NotReady(
                f"llama.cpp cannot make a context of {context_tokens} tokens for {path} ({self._log}); "
                f"a smaller one needs less memory"
            )
        self._memory = llama.llama_get_memory(self._context)
        self._batch = _Batch(llama)
        self._abort = ctypes.cast(ctypes.CDLL(None).strlen, llama.ggml_abort_callback)
        self._key = ""
        self._prompt_length = 0
        self._evaluated: list[int] = []
        self.vocabulary = Vocabulary(self._model)
        self.facts = self._read_facts(path, context_tokens)

    def watch(self, flag: Flag) -> None:
        """From now on `evaluate` raises Aborted within milliseconds of this flag; the caller keeps the flag alive."""
        self._llama.llama_set_abort_callback(self._context, self._abort, flag.address)

    def begin(self, key: str, prompt: Sequence[int]) -> int:
        """Make the sequence this prompt, and return how many of its first tokens were there already.

        Only calls of one key share. What comes out is the same to the bit whether tokens were shared or
        not: llama.cpp rounds a token that is evaluated alone in another way than one of several, so generated tokens
        are evaluated again when they come back in a prompt, and two tokens are always left to do.
        """
        kept = 0
        if key == self._key:
            for ours, theirs in zip(self._evaluated[: self._prompt_length], prompt[:-2], strict=False):
                if ours != theirs:
                    break
                kept += 1
        kept = self.cut(kept)
        self._key, self._prompt_length = key, len(prompt)
        self.evaluate(prompt[kept:])
        return kept

    def cut(self, length: int) -> int:
        """Forget all tokens but the first `length`. What is left is returned: a recurrent state has to forget all."""
        if length < len(self._evaluated):
            if length and self._llama.llama_memory_seq_rm(self._memory, 0, length, -1):
                del self._evaluated[length:]
            else:
                self.clear()
        return len(self._evaluated)

    def clear(self) -> None:
        self._llama.llama_memory_clear(self._memory, False)
        self._evaluated.clear()

    def evaluate(self, tokens: Sequence[int], every: bool = False) -> None:
        """Append tokens to the sequence; then `logits` has the last one, or with `every` each of at most CHUNK."""
        ends = list(range(CHUNK, len(tokens), CHUNK))
        if ends and len(tokens) - ends[-1] == 1:
            ends[-1] -= 1  # nothing but a generated token is evaluated alone
        for start, end in pairwise([0, *ends, len(tokens)]):
            self._decode(tokens[start:end], every)

    def logits(self, row: int = -1) -> Logits:
        """One row of the last evaluation, [vocabulary]: a view that the next evaluation overwrites."""
        import numpy as np

        pointer = self._llama.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(pointer, (self.vocabulary.size,))

    def sampler(self, sampling: Sampling) -> Sampler:
        return Sampler(self._llama, self._context, self.vocabulary.size, sampling)

    def close(self) -> None:
        self._batch.close()
        self._llama.llama_free(self._context)
        self._llama.llama_model_free(self._model)

    def _decode(self, tokens: Sequence[int], every: bool) -> None:
        self._batch.fill(tokens, len(self._evaluated), every)
        self._log.clear()
        status = self._llama.llama_decode(self._context, self._batch.raw)
        if status != 0:
            self.clear()
            if status == _ABORTED:
                raise Aborted
            raise Internal(f"llama.cpp failed with status {status} ({self._log}); please report this")
        self._evaluated.extend(tokens)

    def _read_facts(self, path: Path, context_tokens: int) -> Facts:
        template: bytes | None = self._llama.llama_model_chat_template(self._model, None)
        buffer = ctypes.create_string_buffer(256)
        length = self._llama.llama_model_meta_val_str(self._model, b"general.name", buffer, len(buffer))
        return Facts(
            name=buffer.value.decode(errors="replace") if length > 0 else path.stem,
            parameters=self._llama.llama_model_n_params(self._model),
            context_tokens=context_tokens,
            chat_template=None if template is None else template.decode(errors="replace"),
        )


class Sampler:
    """Draws tokens from the last logits; use it in a `with` block.

    The penalty looks at the last 64 tokens that this sampler has drawn.
    """

    def __init__(self, llama: Any, context: Any, vocabulary_size: int, sampling: Sampling) -> None:
        self._llama = llama
        self._context = context
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        if sampling.repeat_penalty != 1.0:
            self._add(
                llama.llama_sampler_init_penalties(vocabulary_size, _PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0)
            )
        if sampling.temperature == 0.0:
            self._add(llama.llama_sampler_init_greedy())
            return
        if sampling.top_k:
            self._add(llama.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1.0:
            self._add(llama.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p:
            self._add(llama.llama_sampler_init_min_p(sampling.min_p, 1))
        self._add(llama.llama_sampler_init_temp(sampling.temperature))
        seed = llama.LLAMA_DEFAULT_SEED if sampling.seed is None else sampling.seed
        self._add(llama.llama_sampler_init_dist(seed))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._llama.llama_sampler_free(self._chain)

    def draw(self) -> int:
        token: int = self._llama.llama_sampler_sample(self._chain, self._context, -1)
        return token

    def _add(self, sampler: Any) -> None:
        self._llama.llama_sampler_chain_add(self._chain, sampler)


class _Batch:
    """A llama_batch of one sequence, filled through numpy views."""

    def __init__(self, llama: Any) -> None:
        import numpy as np

        self._llama = llama
        self.raw = llama.llama_batch_init(CHUNK, 0, 1)
        self._token = np.ctypeslib.as_array(self.raw.token, (CHUNK,))
        self._position = np.ctypeslib.as_array(self.raw.pos, (CHUNK,))
        self._wanted = np.ctypeslib.as_array(self.raw.logits, (CHUNK,))
        for index in range(CHUNK):
            self.raw.n_seq_id[index] = 1
            self.raw.seq_id[index][0] = 0

    def fill(self, tokens: Sequence[int], position: int, every: bool) -> None:
        count = len(tokens)
        self.raw.n_tokens = count
        self._token[:count] = tokens
        self._position[:count] = range(position, position + count)
        self._wanted[:count] = every
        self._wanted[count - 1] = True

    def close(self) -> None:
        self._llama.llama_batch_free(self.raw)


def _context_params(llama: Any, context_tokens: int, prompt_threads: int, threads: int) -> Any:
    params = llama.llama_context_default_params()
    params.n_ctx = context_tokens
    params.n_batch = params.n_ubatch = CHUNK
    params.n_threads_batch = prompt_threads
    params.n_threads = threads
    # On a CPU flash attention halves the speed of generation.
    params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return params


class _Log:
    """Keeps llama.cpp's last errors, and throws the rest of its log away."""

    def __init__(self, llama: Any) -> None:
        self.llama = llama
        self._lines: deque[str] = deque(maxlen=4)
        self._callback = llama.llama_log_callback(self._keep)
        llama.llama_log_set(self._callback, None)

    def clear(self) -> None:
        self._lines.clear()

    def __str__(self) -> str:
        return "; ".join(list(self._lines)) or "no reason given"

    def _keep(self, level: int, text: bytes | None, _: object) -> None:
        if level == _LOG_LEVEL_ERROR and text:
            self._lines.append(text.decode(errors="replace").strip())


@lru_cache(maxsize=1)
def _start() -> _Log:
    """Initialise llama.cpp, once a process."""
    # OpenMP reads this when it is loaded. Threads that spin while they wait are faster on an idle machine, and collapse
    # beside other programs: an answer took three to seven times as long. A device is seldom idle.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from llama_cpp import llama_cpp as llama

    log = _Log(llama)
    llama.llama_backend_init()
    return log
