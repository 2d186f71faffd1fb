"""Compiles llama.cpp's own server, the peer to measure by, from the source of the wheel in .venv with the same flags.

`python -m tests.bench.llama_server` builds it once (a quarter of an hour) into the user's cache and prints where it is.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from deploy import bootstrap

_CMAKE = Path(__file__).with_suffix(".cmake")


def folder() -> Path:
    """Where the server for this source, these flags, this compiler and this processor is, or would be."""
    return bootstrap.CACHE / "llama-server" / bootstrap.build_key([bootstrap.LLAMA_CMAKE, _CMAKE])


def find() -> Path | None:
    """The server, if it has been built."""
    program = folder() / "llama-server"
    return program if program.is_file() else None


def build() -> Path:
    """The server, compiled unless the cache has it. SetupFailed says what is missing."""
    if found := find():
        return found
    bootstrap.check_toolchain()
    target = folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=target.parent) as work:
        source = _fetch(Path(work))
        made = _compile(source, Path(work) / "build")
        program = made / "llama-server"
        ready = Path(work) / "ready"
        ready.mkdir()
        for file in (program, *made.glob("*.so*"), *made.glob("*.dylib")):
            shutil.copy2(file, ready / file.name, follow_symlinks=False)
        ready.replace(target)
    return target / program.name


def _fetch(work: Path) -> Path:
    """The source of llama.cpp inside the pinned source distribution."""
    options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--no-binary", "llama-cpp-python"]
    locked = ["--require-hashes", "-r", str(bootstrap.LLAMA_LOCK)]
    command = [*bootstrap.PIP, "download", *options, *locked, "--dest", str(work)]
    bootstrap.run("llama.cpp's source", command, advice=bootstrap.NETWORK)
    archive = next(work.glob("*.tar.gz"))
    with tarfile.open(archive) as members:
        members.extractall(work, filter="data")
    return next(work.glob("*/vendor/llama.cpp"))


def _compile(source: Path, into: Path) -> Path:
    """The folder with the program and its libraries, which find each other wherever they are moved to."""
    ninja = bootstrap.VENV / "bin" / "ninja"
    configure = [
        "cmake", "-S", str(source), "-B", str(into), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}",
        f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={_CMAKE}", "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON", *shlex.split(os.environ.get("CMAKE_ARGS", "")),
    ]  # fmt: skip
    bootstrap.run("llama.cpp's settings", configure, advice=bootstrap.TOOLCHAIN)

    def stage(log: str) -> str:
        steps = re.findall(r"^\[(\d+)/(\d+)\]", log, re.MULTILINE)
        return f"step {steps[-1][0]} of {steps[-1][1]}" if steps else ""

    compile_it = ["nice", str(ninja), "-C", str(into), "llama-server"]
    if jobs := os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL"):
        compile_it += ["-j", jobs]
    bootstrap.run("llama-server", compile_it, stage=stage, advice=bootstrap.TOOLCHAIN)
    return into / "bin"


if __name__ == "__main__":
    try:
        print(build())
    except bootstrap.SetupFailed as failure:
        sys.exit(str(failure))
