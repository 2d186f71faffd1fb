"""The models that the catalogue does not know: what `models.toml` describes, and what was fetched or made here.

`models.toml` stands beside `edgewise.toml` and has a table a model. What was fetched or made has `model.json` beside
it, which says where it is from and which hash it had.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.models.digests import write_atomically
from edge.models.entries import (
    BUILT_IN,
    HuggingFace,
    LocalFile,
    Model,
    ModelFile,
    Requantised,
    Source,
    directory_of,
)
from edgewise import place, settings
from edgewise.errors import InvalidInput, NotReady

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HUB = re.compile(rf"hf:(?P<repository>{_PART}/{_PART})/(?P<file>(?:{_PART}/)*{_PART})(?:@(?P<revision>[\w./-]+))?")
_MADE = re.compile(r"requantised:(?P<model>\S+)@(?P<sha256>[0-9a-f]{64}) to (?P<type>\w+)")
_ONE_OF_MANY = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_FORMS = "hf:OWNER/REPOSITORY/FILE.gguf@REVISION or file:/PATH.gguf"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Short = Annotated[str, Field(min_length=1, max_length=200)]


class _Described(BaseModel):
    """One table of `models.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[str, Field(min_length=1, max_length=4096)]
    sha256: Sha256 | None = None
    licence: Short | None = None
    label: Short | None = None
    parameters: Annotated[float, Field(gt=0)] | None = None
    context_tokens: Annotated[int, Field(gt=0)] | None = None
    chat_template: Short | None = None


class _Record(_Described):
    """`model.json`."""

    file: Short
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    trust: Literal["given", "first_use", "made_here"]
    commit: Short | None = None


def file() -> Path:
    return settings.config_file().with_name("models.toml")


def models() -> tuple[Model, ...]:
    """All of them, by name. InvalidInput says what is wrong in `models.toml`, NotReady which record is damaged."""
    found = {name: _recorded(name, record) for name, record in _records()}
    for name, described in _tables().items():
        found[name] = _described(name, described, found.get(name))
    return tuple(found[name] for name in sorted(found))


def parse(text: str) -> Source:
    """A source as users write it; InvalidInput shows the forms that there are."""
    if text.startswith("file:"):
        path = Path(text.removeprefix("file:")).expanduser()
        if path.is_absolute() and path.suffix.lower() == ".gguf":
            return LocalFile(path)
    elif match := _HUB.fullmatch(text):
        source = HuggingFace(match["repository"], match["file"], match["revision"] or "main")
        if _ONE_OF_MANY.search(source.file):
            raise InvalidInput(
                f"{source.file} is one part of several; take a repository with a single file, or merge the parts with "
                f"llama-gguf-split and use the path of the result"
            )
        if source.file.lower().endswith(".gguf"):
            return source
    elif match := _MADE.fullmatch(text):
        return Requantised(match["model"], match["sha256"], match["type"])
    raise InvalidInput(f"{text[:200]!r} is not the source of a model; write {_FORMS}")


def check_name(name: str) -> None:
    """InvalidInput unless a model of the user's own may have this name."""
    if not _NAME.fullmatch(name) or name.endswith((".gguf", ".toml")):
        raise InvalidInput(f"{name[:100]!r} cannot name a model; use small letters, digits, '.', '_' and '-'")
    if name in {model.name for model in BUILT_IN}:
        raise InvalidInput(f"{name} is the name of a model that Edgewise knows already; choose another")


def remember(model: Model, commit: str | None = None) -> None:
    """Write down what is in the directory of a model; hash and size have to be known."""
    (content,) = model.files
    path = directory_of(model.name) / "model.json"
    if commit is None and path.exists():
        commit = _Record.model_validate_json(path.read_bytes()).commit
    record = _Record.model_validate(
        {
            "source": str(model.source),
            "file": content.name,
            "sha256": content.sha256,
            "bytes": content.bytes,
            "trust": model.trust,
            "commit": commit,
            "licence": model.licence,
            "label": model.label,
            "parameters": model.parameters,
            "context_tokens": model.context_tokens,
            "chat_template": model.chat_template,
        }
    )
    write_atomically(path, record.model_dump_json(indent=1) + "\n")


def _records() -> Iterator[tuple[str, _Record]]:
    for path in sorted((place.cache_dir() / "models").glob("*/model.json")):
        try:
            yield path.parent.name, _Record.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            raise NotReady(f"{path} is damaged; delete the directory {path.parent} and fetch the model again") from None


def _tables() -> dict[str, _Described]:
    path, found = file(), {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    for name, table in content.items():
        try:
            check_name(name)
            found[name] = _Described.model_validate(table)
            parse(found[name].source)
        except ValidationError as error:
            raise InvalidInput(f"{path}: {_fault(name, error)}") from None
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {error.message}") from None
    return found


def _fault(name: str, error: ValidationError) -> str:
    fault = error.errors()[0]
    key = ".".join([name, *map(str, fault["loc"])])
    if fault["type"] == "extra_forbidden":
        return f"{key} is not known; a model has {', '.join(_Described.model_fields)}"
    return f"{key}: {fault['msg']}"


def _recorded(name: str, record: _Record) -> Model:
    return Model(
        name=name,
        kind="gguf",
        label=record.label or name,
        licence=record.licence,
        parameters=record.parameters,
        context_tokens=record.context_tokens,
        chat_template=record.chat_template,
        source=parse(record.source),
        files=(ModelFile(record.file, record.file, record.sha256, record.bytes),),
        trust=record.trust,
    )


def _described(name: str, described: _Described, fetched: Model | None) -> Model:
    """What the user says wins over the record; a record of another source is none of this model."""
    source = parse(described.source)
    if fetched and fetched.source != source:
        fetched = None
    content = fetched.files[0] if fetched else None
    path = (
        source.path if isinstance(source, LocalFile) else Path(source.file if isinstance(source, HuggingFace) else "")
    )
    return Model(
        name=name,
        kind="gguf",
        label=described.label or (fetched.label if fetched else name),
        licence=described.licence or (fetched.licence if fetched else None),
        parameters=described.parameters or (fetched.parameters if fetched else None),
        context_tokens=described.context_tokens or (fetched.context_tokens if fetched else None),
        chat_template=described.chat_template or (fetched.chat_template if fetched else None),
        source=source,
        files=(
            ModelFile(
                name=path.name,
                member=str(path),
                sha256=described.sha256 or (content.sha256 if content else None),
                bytes=content.bytes if content else None,
            ),
        ),
        trust="given" if described.sha256 else "first_use",
    )
