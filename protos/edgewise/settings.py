"""Settings: `edgewise.toml`, then EDGEWISE_* in the environment, then flags; what comes later wins.

Each part of the program declares its own section as a subclass of `Section`. Unknown keys are refused wherever they
stand, because a misspelt privacy setting that is ignored is a leak.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from edgewise import place
from edgewise.errors import InvalidInput

SECTIONS = ("edge", "cloud", "router", "privacy", "telemetry")
# Read by `place` or by the test suite, not part of a section.
_PLAIN = ("EDGEWISE_DATA_DIR", "EDGEWISE_CONFIG")


class Section(BaseModel):
    """One table of `edgewise.toml`: `[edge]`, say, whose `model` is EDGEWISE_EDGE__MODEL in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    section: ClassVar[str]


SectionT = TypeVar("SectionT", bound=Section)


def config_file() -> Path:
    given = os.environ.get("EDGEWISE_CONFIG")
    return Path(given).expanduser() if given else place.config_dir() / "edgewise.toml"


def load(section_type: type[SectionT], flags: Mapping[str, object] | None = None) -> SectionT:
    """One section from all its places. A flag that is None was not given. InvalidInput names a bad setting."""
    name = section_type.section
    given = {
        **_file().get(name, {}),
        **_environment(os.environ).get(name, {}),
        **{key: value for key, value in (flags or {}).items() if value is not None},
    }
    try:
        return section_type.model_validate(given)
    except ValidationError as error:
        faults = [_fault(name, section_type, dict(fault)) for fault in error.errors()]
        raise InvalidInput("\n".join(faults)) from None


def data_dir() -> Path:
    """Where records and documents are: EDGEWISE_DATA_DIR, then `data_dir` of the file, then the XDG place."""
    given = _file().get("data_dir")
    if "EDGEWISE_DATA_DIR" in os.environ or given is None:
        return place.data_dir()
    if not isinstance(given, str) or not given.strip():
        raise InvalidInput(f"{config_file()}: data_dir must be a path in quotes")
    return Path(given).expanduser()


def _file() -> dict[str, Any]:
    path = config_file()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    unknown = sorted(
        name
        for name, table in content.items()
        if name != "data_dir" and not (name in SECTIONS and isinstance(table, dict))
    )
    if unknown:
        raise InvalidInput(
            f"{path}: unknown section {', '.join(unknown)}; there are data_dir and the tables {', '.join(SECTIONS)}"
        )
    return content


def _environment(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for variable, value in environment.items():
        if not variable.startswith("EDGEWISE_") or variable in _PLAIN:
            continue
        section, separator, key = variable.removeprefix("EDGEWISE_").lower().partition("__")
        if not separator or section not in SECTIONS:
            raise InvalidInput(
                f"{variable} is not a setting; write EDGEWISE_SECTION__KEY with one of {', '.join(SECTIONS)}"
            )
        found.setdefault(section, {})[key] = value
    return found


def _fault(name: str, section_type: type[Section], fault: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return (
            f"{name}.{key} is not a setting; there are {', '.join(sorted(_fields_beside(section_type, fault['loc'])))}"
        )
    return f"{name}.{key}: {fault['msg']}" if key else f"[{name}] {fault['msg'].removeprefix('Value error, ')}"


def _fields_beside(section_type: type[BaseModel], place: tuple[int | str, ...]) -> Iterable[str]:
    """The settings of the table in which the last of `place` stands: that of the section, or one inside it."""
    table = section_type
    for part in place[:-1]:
        if isinstance(part, str):
            table = get_args(table.model_fields[part].annotation)[0]
    return table.model_fields
