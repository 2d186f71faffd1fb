"""Does llama.cpp work on this processor, with this file? Asked of a child process, because it may die on the spot.

A build for another processor, or by a compiler with a fault, ends with an illegal instruction at the first decode; a
file that was made to do harm, or is damaged where its head does not show it, may end it in any way.
`python -m edge.llama.machine.selftest MODEL` decodes; `check` runs that, and remembers a pass by the file's hash.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from edge import models
from edge.llama.machine import build
from edge.llama.machine.calibration import Tuning
from edge.llama.machine.probe import probe
from edgewise import place
from edgewise.errors import InvalidInput, NotReady
from edgewise.types import Message, Prompt, Text

_TIMEOUT_S = 120.0
_REBUILD = (
    "llama-cpp-python was built for another processor, or by a compiler whose code fails on this one. Delete {wheels} "
    "and .venv and run `make setup`, which builds it for this processor (with -fno-dse where the compiler is gcc). "
    'If that fails too, leave AMX out: CMAKE_ARGS="-DCMAKE_C_FLAGS={flags} -DCMAKE_CXX_FLAGS={flags}" make setup. '
    "Meanwhile, edge.repack = false does without AMX and all other special kernels."
)
_ANOTHER = "compare it with the hash that its publisher states, or set edge.model to another"
_NO_AMX = "'-mno-amx-tile -mno-amx-int8 -mno-amx-bf16'"


async def check(path: Path, *, repack: bool = True) -> None:
    """NotReady, with what to do, if this is no model or cannot be decoded here. A pass holds for model, build, CPU."""
    mark = await asyncio.to_thread(_mark, path, repack)
    if mark.exists():
        return
    await asyncio.to_thread(probe, path)
    status, last = await run("edge.llama.machine.selftest", str(path), str(repack))
    judge(status, last, path)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


async def run(module: str, *arguments: str) -> tuple[int, str]:
    """The exit status of a module that decodes in a process of its own, and its last words."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            _, errors = await process.communicate()
    except TimeoutError:
        raise NotReady(f"{arguments[0]} was not ready in {_TIMEOUT_S:.0f} s; choose another or smaller model") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    lines = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
    return process.returncode, lines[-1]


def judge(status: int, last: str, path: Path) -> None:
    """NotReady unless the exit status of the child is 0; killed by a signal, it was the build."""
    if status == 0:
        return
    if status < 0:
        died = f"llama.cpp died of {signal.Signals(-status).name} when it decoded {path.name}"
        if -status == signal.SIGKILL:
            raise NotReady(f"{died}, probably for want of memory: end other programs, or choose a smaller model")
        if models.of(path) is None and -status != signal.SIGILL:
            raise NotReady(f"{died}, a file of your own: it is damaged or made to do harm; {_ANOTHER}")
        advice = _REBUILD.format(wheels=place.cache_dir() / "wheels", flags=_NO_AMX)
        raise NotReady(f"{died}: {advice}")
    raise NotReady(f"the self-test of {path} failed: {last[:500]}")


def decode(path: Path, *, repack: bool) -> None:
    """A chunk and then a single token, which are different code in llama.cpp; and a prompt in the file's own template,
    which is a program that may have no end."""
    import numpy as np

    from edge.llama.chat_template import ChatTemplate
    from edge.llama.native import Flag, Native, Work

    build.be_expendable()
    native = Native(path, 512, 1, Tuning.default(build.cores(), repack=repack))
    tokens = np.array(native.vocabulary.tokenize("The quick brown fox jumps over the lazy dog. " * 4), np.int32)
    native.evaluate([Work(0, 0, tokens, "last")], Flag())
    native.evaluate([Work(0, len(tokens), tokens[:1], "last")], Flag())
    if native.facts.chat_template:
        asked = Message(role="user", content=Text.ours("Who are you?"))
        with suppress(InvalidInput):  # the template has no place for it, which whoever asks will hear
            ChatTemplate(native.facts.chat_template, native.vocabulary).render(Prompt(messages=(asked,)))
    native.close()


def _mark(path: Path, repack: bool) -> Path:
    """An empty file whose name is a hash of all that a pass depends on."""
    return place.cache_dir() / "selftest" / build.key(models.digest(path), str(repack))


if __name__ == "__main__":
    try:
        decode(Path(sys.argv[1]), repack=sys.argv[2] == "True")
    except NotReady as error:
        sys.exit(error.message)
