"""Gets the servers that we measure ourselves against: one compiled here, one as a package ships it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench import llama_server
from tests.bench.engine.plan import ContenderName

XLLAMACPP = "xllamacpp==2026.10.11549"
_ROOT = Path(__file__).parents[3]


class Missing(Exception):
    """Why there is no such peer, and how to get it."""


def program(contender: ContenderName, *, may_build: bool) -> str:
    """What a contender runs; empty for those that run in Python. Missing says why it is not there."""
    if contender == "server":
        return _server(may_build)
    if contender == "xllamacpp":
        return _xllamacpp()
    return ""


def _server(may_build: bool) -> str:
    from deploy import bootstrap

    try:
        found = llama_server.build() if may_build else llama_server.find()
    except bootstrap.SetupFailed as failure:
        raise Missing(f"llama-server could not be built: {failure}") from None
    if found is None:
        raise Missing("llama-server is not built yet; run `python -m tests.bench.llama_server`")
    return str(found)


def _xllamacpp() -> str:
    """The Python of a virtual environment below build/, which has nothing else in it."""
    venv = _ROOT / "build" / "bench" / "xllamacpp"
    python = venv / "bin" / "python"
    stamp = venv / "installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == XLLAMACPP:
        return str(python)
    try:
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(venv)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", XLLAMACPP],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as failure:
        said = (failure.stderr or "no output").strip().splitlines()[-1]
        raise Missing(f"{XLLAMACPP} could not be installed: {said[:300]}") from None
    stamp.write_text(XLLAMACPP, encoding="utf-8")
    return str(python)
