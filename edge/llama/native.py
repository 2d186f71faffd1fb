"""llama.cpp's bindings, but for sampling: a loaded model, and a KV cache that holds several sequences of tokens.

Everything but the vocabulary belongs to one thread. Pointers are freed in `close`, and nowhere else.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge.llama import devices, kernels
from edge.llama.machine import build
from edge.llama.machine.calibration import Tuning
from edge.llama.vocabulary import Vocabulary
from edge.models import digests
from edgewise.errors import Internal, InvalidInput, NotFound, NotReady

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tokens = NDArray[np.int32]
    Logits = NDArray[np.float32]
    State = NDArray[np.uint8]

_LOG_LEVEL_ERROR = 4
_ABORTED = 2


class Aborted(Exception):
    """A flag stopped an evaluation; its sequences must be cut back."""


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

    @property
    def raised(self) -> bool:
        return self._letter[0] != b"\0"


@dataclass(frozen=True, slots=True)
class Facts:
    name: str
    parameters: int
    context_tokens: int
    chat_template: str | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """How many layers to put on GPUs (-1: all), and the names of those to use (none: all)."""

    layers: int = 0
    devices: tuple[str, ...] = ()


NO_GPU = Gpu()


@dataclass(frozen=True, slots=True)
class Work:
    """Tokens to append to a sequence that has `position` tokens, and of which of them the logits are wanted."""

    sequence: int
    position: int
    tokens: Tokens
    wanted: Literal["none", "last", "every"]


class Native:
    """`evaluate` appends to sequences 0 to `sequences` - 1, each with a context window and memory of its own."""

    def __init__(self, path: Path, context_tokens: int, sequences: int, tuning: Tuning, gpu: Gpu = NO_GPU) -> None:
        """NotReady if the file cannot be loaded. The context never exceeds what the model was trained on."""
        self._log = start()
        self._log.clear()
        self._llama = llama = self._log.llama
        params = llama.llama_model_default_params()
        params.n_gpu_layers = gpu.layers
        params.use_extra_bufts = tuning.repack
        if tuning.repack and gpu.layers == 0 and kernels.use():
            params.load_mode = llama.LLAMA_LOAD_MODE_NONE  # a file that is mapped as well would stay in memory twice
        chosen = devices.choose(gpu.devices)
        params.devices = ctypes.cast(chosen, ctypes.c_void_p)
        self._model = llama.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise NotReady(f"llama.cpp cannot load {path} ({self._log}); it is damaged or too new: fetch it again")
        context_tokens = min(context_tokens, llama.llama_model_n_ctx_train(self._model))
        self.batch_tokens = max(tuning.chunk_tokens, sequences)
        settings = _context_params(llama, context_tokens, sequences, self.batch_tokens, tuning)
        self._context = llama.llama_init_from_model(self._model, settings)
        if not self._context:
            llama.llama_model_free(self._model)
            raise NotReady(
                f"llama.cpp cannot make {sequences} contexts of {context_tokens} tokens for {path} ({self._log}); "
                f"fewer or smaller ones need less memory: edge.parallel, edge.context_tokens"
            )
        self._memory = llama.llama_get_memory(self._context)
        self._batch = _Batch(llama, self.batch_tokens)
        self._abort = ctypes.cast(ctypes.CDLL(None).strlen, llama.ggml_abort_callback)
        self._flag: Flag | None = None
        self._threads = 0
        self._views: dict[int, Logits] = {}
        self._address = 0
        self._adapters: dict[str, Any] = {}
        self._adapter = ""
        self.vocabulary = Vocabulary(self._model)
        self.facts = self._read_facts(path, context_tokens)

    def evaluate(self, works: Sequence[Work], flag: Flag, adapter: str = "") -> Logits:
        """The wanted logits, [wanted tokens, vocabulary], in the order of the works: a view, until the next evaluation.

        At most `batch_tokens` tokens. Aborted comes within milliseconds of the flag; after it, and after Internal, the
        sequences must be cut back. What comes out of a token does not depend on the other sequences, but somewhat on
        whether it is its sequence's only one in this evaluation.
        """
        self._use(adapter)
        wanted = self._batch.fill(works)
        self._log.clear()
        if flag is not self._flag:
            self._llama.llama_set_abort_callback(self._context, self._abort, flag.address)
            self._flag = flag
        status = self._llama.llama_decode(self._context, self._batch.raw)
        if status != 0:
            if status == _ABORTED:
                raise Aborted
            raise Internal(f"llama.cpp failed with status {status} ({self._log}); please report this")
        return self._logits(wanted)

    def use_threads(self, threads: int) -> None:
        """From the next evaluation on; what comes out is the same, but with flash attention beyond 512 tokens."""
        if threads != self._threads:
            self._llama.llama_set_n_threads(self._context, threads, threads)
            self._threads = threads

    def cut(self, sequence: int, length: int) -> int:
        """Forget all tokens of a sequence but the first `length`; what is left: a recurrent state has to forget all."""
        if length and self._llama.llama_memory_seq_rm(self._memory, sequence, length, -1):
            return length
        self._llama.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return 0

    def save(self, sequence: int) -> State:
        """What the KV cache holds of a sequence, some 20 kB a token for a model of 135 M parameters."""
        import numpy as np

        size = self._llama.llama_state_seq_get_size(self._context, sequence)
        state = np.empty(size, np.uint8)
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        written = self._llama.llama_state_seq_get_data(self._context, pointer, size, sequence)
        return state[:written]

    def restore(self, sequence: int, state: State) -> bool:
        """Make a sequence what was saved; false if llama.cpp refuses it, and then the sequence is empty."""
        self.cut(sequence, 0)
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        if self._llama.llama_state_seq_set_data(self._context, pointer, state.size, sequence):
            return True
        self.cut(sequence, 0)
        return False

    def load_adapter(self, path: Path, digest: str) -> None:
        """Read a LoRA, from now on known as its digest. InvalidInput if it is none or made for another model; NotFound
        if its file has changed since the digest was taken.
        """
        if digest in self._adapters:
            return
        changed = NotFound(f"{path.name} was replaced or removed while the request waited; ask again")
        if not _is(path, digest):
            raise changed
        self._log.clear()
        adapter = self._llama.llama_adapter_lora_init(self._model, str(path).encode())
        if not _is(path, digest):
            self._llama.llama_adapter_lora_free(adapter)
            raise changed
        if not adapter:
            raise InvalidInput(f"{path.name} is no adapter for this model ({self._log}); make one from this model")
        self._adapters[digest] = adapter

    def keep_adapters(self, digests: set[str]) -> None:
        """Free all others."""
        if self._adapter not in digests:
            self._use("")
        for digest in self._adapters.keys() - digests:
            self._llama.llama_adapter_lora_free(self._adapters.pop(digest))

    @property
    def adapter(self) -> str:
        """The digest of the one that the last evaluation used: to use another takes milliseconds."""
        return self._adapter

    @property
    def loaded_adapters(self) -> int:
        return len(self._adapters)

    def sampler_context(self) -> Any:
        """For a sampler, which reads the last evaluation's logits itself."""
        return self._context

    def close(self) -> None:
        self._llama.llama_free(self._context)
        self._llama.llama_model_free(self._model)  # and its adapters

    def _logits(self, wanted: int) -> Logits:
        """A view costs numpy as much as a small evaluation's other work, and the memory hardly ever moves."""
        import numpy as np

        if not wanted:
            return np.empty((0, self.vocabulary.size), np.float32)
        logits = self._llama.llama_get_logits(self._context)
        if (address := ctypes.addressof(logits.contents)) != self._address:
            self._address = address
            self._views.clear()
        if wanted not in self._views:
            self._views[wanted] = np.ctypeslib.as_array(logits, (wanted, self.vocabulary.size))
        return self._views[wanted]

    def _use(self, adapter: str) -> None:
        if adapter == self._adapter:
            return
        if adapter:
            pointers = (self._llama.llama_adapter_lora_p_ctypes * 1)(self._adapters[adapter])
            self._llama.llama_set_adapters_lora(self._context, pointers, 1, (ctypes.c_float * 1)(1.0))
        else:
            self._llama.llama_set_adapters_lora(self._context, None, 0, None)
        self._adapter = adapter

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


class _Batch:
    """A llama_batch on numpy's memory."""

    def __init__(self, llama: Any, size: int) -> None:
        import numpy as np

        self._token = np.zeros(size, np.int32)
        self._position = np.zeros(size, np.int32)
        self._sequence = np.zeros(size, np.int32)
        self._wanted = np.zeros(size, np.int8)
        self._one = np.ones(size, np.int32)
        self._sequences = (self._sequence.ctypes.data + 4 * np.arange(size)).astype(np.uintp)
        self.raw = llama.llama_batch()
        self.raw.embd = None
        for name, column in (
            ("token", self._token),
            ("pos", self._position),
            ("n_seq_id", self._one),
            ("seq_id", self._sequences),
            ("logits", self._wanted),
        ):
            kind = next(kind for field, kind in llama.llama_batch._fields_ if field == name)
            setattr(self.raw, name, ctypes.cast(column.ctypes.data, kind))

    def fill(self, works: Sequence[Work]) -> int:
        """How many rows of logits will come."""
        import numpy as np

        end = 0
        for work in works:
            start, end = end, end + len(work.tokens)
            self._token[start:end] = work.tokens
            self._position[start:end] = np.arange(work.position, work.position + len(work.tokens))
            self._sequence[start:end] = work.sequence
            self._wanted[start:end] = work.wanted == "every"
            self._wanted[end - 1] = work.wanted != "none"
        self.raw.n_tokens = end
        return int(self._wanted[:end].sum())


def _is(path: Path, digest: str) -> bool:
    try:
        return digests.digest(path) == digest
    except OSError:
        return False


def _context_params(llama: Any, context_tokens: int, sequences: int, batch_tokens: int, tuning: Tuning) -> Any:
    params = llama.llama_context_default_params()
    params.n_ctx = context_tokens * sequences
    params.n_seq_max = sequences
    params.kv_unified = False  # a sequence looks at its own memory only: that is faster, and keeps the others' speed
    params.n_batch = params.n_ubatch = batch_tokens
    params.n_threads_batch = tuning.prompt_threads
    params.n_threads = tuning.threads
    params.flash_attn_type = (
        llama.LLAMA_FLASH_ATTN_TYPE_ENABLED if tuning.flash_attention else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    return params


class Log:
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
def start() -> Log:
    """Initialise llama.cpp, once a process: a log callback that goes away would take the process along."""
    build.settle()
    from llama_cpp import llama_cpp as llama

    log = Log(llama)
    llama.llama_backend_init()
    kernels.use()
    return log
