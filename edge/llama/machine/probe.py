"""What a GGUF is and what it would take: read by llama.cpp itself, in a child process, without loading the weights.

`python -m edge.llama.machine.probe MODEL ...` does it. The child shields this process from a file that makes llama.cpp
crash, and llama.cpp's log, where the sizes are said, is nobody else's there. Before that, the head of the file has to
pass our own reader.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge import models
from edge.llama.machine import build
from edge.llama.machine.calibration import Tuning
from edge.models import gguf_header
from edge.models.digests import write_atomically
from edgewise import place
from edgewise.errors import NotReady

_TIMEOUT_S = 120.0
_STATE = re.compile(r"^llama_\w+: size = +([\d.]+) MiB", re.MULTILINE)
_BUFFERS = re.compile(r"^\w+: .*(?:compute|output) buffer size = +([\d.]+) MiB", re.MULTILINE)
_MIB = 1 << 20
_LOG_LEVEL_ERROR = 4
_UNSET = 1
"""Exit status of a child that has said on standard output what is wrong with the file."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Bytes in memory: the weights, the KV cache of all sequences, and llama.cpp's buffers for computing."""

    architecture: str
    description: str
    licence: str | None
    parameters: int
    context_tokens: int
    has_chat_template: bool
    weights_bytes: int
    kv_bytes: int
    buffer_bytes: int

    @property
    def bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.buffer_bytes


def probe(path: Path, context_tokens: int = 512, sequences: int = 1, tuning: Tuning | None = None) -> Probe:
    """NotReady if this is no language model that llama.cpp can run. Kept, and so asked once a file and settings."""
    tuning = tuning or Tuning.default(1)
    numbers = (context_tokens, sequences, tuning.chunk_tokens, int(tuning.flash_attention), int(tuning.repack))
    arguments = [str(number) for number in numbers]
    try:
        digest = models.digest(path)
    except OSError as error:
        raise NotReady(f"{path} cannot be read: {error.strerror}; check the setting edge.model") from None
    kept = place.cache_dir() / "probes" / f"{build.key(digest, *arguments)}.json"
    with suppress(OSError, ValueError, TypeError):
        return Probe(**json.loads(kept.read_text(encoding="utf-8")))
    gguf_header.check(path)
    found = _ask(path, arguments)
    with suppress(OSError):  # it can be asked again
        write_atomically(kept, json.dumps(asdict(found)))
    return found


def _ask(path: Path, arguments: list[str]) -> Probe:
    command = [sys.executable, "-m", "edge.llama.machine.probe", str(path), *arguments]
    try:
        child = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
        )
    except subprocess.TimeoutExpired:
        raise NotReady(f"llama.cpp could not read {path} in {_TIMEOUT_S:.0f} s; choose a smaller model") from None
    answer = child.stdout.decode(errors="replace")
    if child.returncode == 0:
        return Probe(**json.loads(answer))
    if child.returncode == _UNSET and answer:
        raise NotReady(answer.strip()[:1000])
    how = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit status {child.returncode}"
    raise NotReady(f"llama.cpp ended with {how} when it read {path}; the file is damaged: fetch it again")


def read(
    path: Path, context_tokens: int, sequences: int, chunk_tokens: int, *, flash_attention: bool, repack: bool
) -> Probe:
    """In the child. NotReady as above."""
    build.be_expendable()
    from llama_cpp import llama_cpp as llama

    log: list[tuple[int, str]] = []

    def keep(level: int, text: bytes | None, _: object) -> None:
        log.append((level, (text or b"").decode(errors="replace")))

    callback = llama.llama_log_callback(keep)
    llama.llama_log_set(callback, None)
    llama.llama_backend_init()
    params = llama.llama_model_default_params()
    params.no_alloc = True
    params.load_mode = llama.LLAMA_LOAD_MODE_NONE
    model = llama.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        errors = [text.strip() for level, text in log if level == _LOG_LEVEL_ERROR]
        raise NotReady(_why_not(path, errors))
    _check_generates(llama, model, path)
    context = llama.llama_context_default_params()
    context.n_ctx = min(context_tokens, llama.llama_model_n_ctx_train(model)) * sequences
    context.n_seq_max = sequences
    context.kv_unified = False
    context.n_batch = context.n_ubatch = max(chunk_tokens, sequences)
    context.flash_attn_type = (
        llama.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash_attention else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    if not llama.llama_init_from_model(model, context):
        raise NotReady(
            f"llama.cpp cannot make a context for {path}: {log[-1][1].strip() if log else 'no reason given'}"
        )
    said = "".join(text for _, text in log)
    return Probe(
        architecture=_meta(llama, model, "general.architecture") or "",
        description=_description(llama, model),
        licence=_meta(llama, model, "general.license"),
        parameters=llama.llama_model_n_params(model),
        context_tokens=llama.llama_model_n_ctx_train(model),
        has_chat_template=llama.llama_model_chat_template(model, None) is not None,
        weights_bytes=llama.llama_model_size(model) + (_shared_bytes(path) if repack else 0),
        kv_bytes=round(sum(map(float, _STATE.findall(said))) * _MIB),
        buffer_bytes=round(sum(map(float, _BUFFERS.findall(said))) * _MIB),
    )


def _description(llama: Any, model: Any) -> str:
    """Such as `llama 135M Q4_1`."""
    buffer = ctypes.create_string_buffer(256)
    llama.llama_model_desc(model, buffer, len(buffer))
    return buffer.value.decode(errors="replace")


def _check_generates(llama: Any, model: Any, path: Path) -> None:
    """NotReady for what loads, but writes no text from left to right."""
    architecture = _meta(llama, model, "general.architecture") or ""
    pooling = _meta(llama, model, f"{architecture}.pooling_type")
    causal = _meta(llama, model, f"{architecture}.attention.causal")
    if pooling not in {None, "0"} or causal == "false":
        raise NotReady(
            f"{path} is an embedding model ({architecture}), which writes no text; set edge.model to another"
        )
    if llama.llama_model_has_encoder(model) or llama.llama_model_is_diffusion(model):
        raise NotReady(f"{path} does not write from left to right ({architecture}); set edge.model to a chat model")


def _why_not(path: Path, errors: list[str]) -> str:
    """In words that say what to do, for a file that llama.cpp did not load."""
    kind = _described(path, "general.type")
    if kind == "adapter":
        return f"{path} is an adapter, no model; set edge.model to the model that it was made for"
    if kind == "mmproj" or _described(path, "general.architecture") == "clip":
        return f"{path} is the part of a model that sees or hears (mmproj); set edge.model to the language model"
    reasons = "; ".join(errors[-3:])[:500] or "no reason given"
    if "not within the file bounds" in reasons or "failed to read" in reasons:
        return f"{path} is cut off or damaged; fetch it again (llama.cpp: {reasons})"
    return f"llama.cpp cannot load {path}; it is damaged, or newer than this llama.cpp ({reasons})"


def _meta(llama: Any, model: Any, key: str) -> str | None:
    buffer = ctypes.create_string_buffer(256)
    length = llama.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode(errors="replace") if length >= 0 else None


class _GgufInit(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


def _shared_bytes(path: Path) -> int:
    """Of the weights that are both the first and the last of a model; repacked, the last ones are a copy."""
    libggml, content = _open(path)
    libggml.gguf_find_tensor.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    libggml.gguf_find_tensor.restype = ctypes.c_int64
    libggml.gguf_get_tensor_size.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    libggml.gguf_get_tensor_size.restype = ctypes.c_size_t
    first = libggml.gguf_find_tensor(content, b"token_embd.weight")
    if first < 0 or libggml.gguf_find_tensor(content, b"output.weight") >= 0:
        return 0
    size: int = libggml.gguf_get_tensor_size(content, first)
    return size


def _open(path: Path) -> tuple[Any, int | None]:
    """ggml, and the head of a file; None if that cannot be read. Never freed: the process is short."""
    from llama_cpp._ggml import libggml

    libggml.gguf_init_from_file.argtypes = [ctypes.c_char_p, _GgufInit]
    libggml.gguf_init_from_file.restype = ctypes.c_void_p
    return libggml, libggml.gguf_init_from_file(str(path).encode(), _GgufInit(True, None))


def _described(path: Path, key: str) -> str | None:
    """A text of the file's metadata, which can be read also where the model cannot."""
    libggml, content = _open(path)
    libggml.gguf_find_key.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    libggml.gguf_find_key.restype = ctypes.c_int64
    for name in ("gguf_get_kv_type", "gguf_get_val_str"):
        getattr(libggml, name).argtypes = [ctypes.c_void_p, ctypes.c_int64]
    libggml.gguf_get_val_str.restype = ctypes.c_char_p
    string = 8  # GGUF_TYPE_STRING
    if not content:
        return None
    index = libggml.gguf_find_key(content, key.encode())
    if index < 0 or libggml.gguf_get_kv_type(content, index) != string:
        return None
    value: bytes = libggml.gguf_get_val_str(content, index)
    return value.decode(errors="replace")


def main(arguments: list[str]) -> int:
    path, context_tokens, sequences, chunk_tokens, flash_attention, repack = arguments
    try:
        found = read(
            Path(path),
            int(context_tokens),
            int(sequences),
            int(chunk_tokens),
            flash_attention=flash_attention == "1",
            repack=repack == "1",
        )
    except NotReady as error:
        sys.stdout.write(error.message)
        return _UNSET
    sys.stdout.write(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
