"""Another weight type for a GGUF: faster or smaller on some processors, and never as good as what it is made from.

`python -m edge.llama.requantise FROM TO TYPE` does it in a child, which can be ended and whose log is its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from edge import models
from edge.llama.machine import build
from edge.models import gguf_header
from edge.models.entries import ModelFile, Requantised, size_of
from edgewise.errors import Conflict, InvalidInput, NotReady

TYPES = ("q8_0", "q6_k", "q5_k_m", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0", "q3_k_m")
"""From the best to the smallest, as llama.cpp names them."""


def requantise(name_or_path: str, to: str, progress: Callable[[int], None]) -> models.Model:
    """Make it, and know it from now on as NAME-to-TYPE; `progress` hears the bytes that are written.

    NotReady if it cannot be made, Conflict if it is here already, InvalidInput for an unknown type.
    """
    if to not in TYPES:
        raise InvalidInput(f"{to[:50]!r} is not a weight type; there are {', '.join(TYPES)}")
    path = models.locate(name_or_path)
    digest = models.digest(path)
    models.check_hash(path, digest)
    gguf_header.check(path)
    origin = models.of(path)
    name = f"{origin.name if origin else path.stem.lower()}-to-{to}"
    content = ModelFile(f"{path.stem}.{to}.gguf", "", None, None)
    model = models.Model(
        name=name,
        kind="gguf",
        label=f"{origin.label if origin else path.stem}, requantised to {to}",
        licence=origin.licence if origin else None,
        parameters=origin.parameters if origin else None,
        context_tokens=origin.context_tokens if origin else None,
        chat_template=origin.chat_template if origin else None,
        source=Requantised(origin.name if origin else str(path), digest, to),
        files=(content,),
        trust="made_here",
    )
    try:
        with models.alone(model, lambda *_: None) as directory:
            if model.path.exists():
                raise Conflict(f"{name} was made already; delete {directory} to make it again")
            draft = directory / f"{content.name}.part"
            _write(path, draft, to, progress)
            made = replace(content, sha256=models.sha256(draft), bytes=size_of(draft))
            models.remember(replace(model, files=(made,)))
            draft.replace(model.path)
    except OSError as error:
        raise NotReady(f"{name} cannot be stored in {model.directory}: {error}") from error
    return models.find(name)


def _write(path: Path, draft: Path, to: str, progress: Callable[[int], None]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "edge.llama.requantise", str(path), str(draft), to],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
    )  # fmt: skip
    try:
        while child.poll() is None:
            progress(size_of(draft) or 0)
            time.sleep(0.1)
        _, errors = child.communicate()
    finally:
        child.kill()
        child.wait()
        if child.returncode != 0:
            with suppress(FileNotFoundError):
                draft.unlink()
    if child.returncode != 0:
        last = (errors.strip().splitlines() or ["no reason given"])[-1]
        raise NotReady(f"llama.cpp cannot make {to} of {path} ({last[:300]})")


def _main(source: str, target: str, to: str) -> None:
    """In the child."""
    from llama_cpp import llama_cpp as llama

    params = llama.llama_model_quantize_default_params()
    params.ftype = getattr(llama, f"LLAMA_FTYPE_MOSTLY_{to.upper()}")
    params.nthread = build.cores()
    params.allow_requantize = True
    if llama.llama_model_quantize(source.encode(), target.encode(), params) != 0:
        sys.exit(1)


if __name__ == "__main__":
    _main(*sys.argv[1:])
