"""`deploy/edgewise.example.toml` has every setting with its default, as the program has them.

`python -m tests.unit.test_settings_example` writes it again.
"""

from __future__ import annotations

import json
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cloud.config import CloudSettings
from edge.config import EdgeSettings
from edgewise.settings import SECTIONS, Section
from router.config import PrivacySettings, RouterSettings
from router.telemetry.config import TelemetrySettings

FILE = Path(__file__).resolve().parents[2] / "deploy" / "edgewise.example.toml"
ALL: tuple[type[Section], ...] = (EdgeSettings, CloudSettings, RouterSettings, PrivacySettings, TelemetrySettings)
HEAD = """\
# Every setting of Edgewise with its default, if it has one. Copy what you change into ~/.config/edgewise/edgewise.toml,
# or into a file that EDGEWISE_CONFIG names. The environment (EDGEWISE_EDGE__THREADS=4) wins over the file, a flag over
# both. Keys that are not listed here are refused.

# Records, documents and the token; EDGEWISE_DATA_DIR and --data-dir win over it.
#data_dir = "~/.local/share/edgewise"
"""


def written() -> str:
    lines = [HEAD]
    for section in ALL:
        lines += [f"[{section.section}]", ""]
        for name, field in section.model_fields.items():
            says = " ".join((field.description or "", *limits(field)))
            lines += textwrap.wrap(says, 118, initial_indent="# ", subsequent_indent="# ")
            lines += [f"#{name} =" + ("" if field.default is None else f" {toml(field.default)}"), ""]
            lines += tables(section, name, field)
    return "\n".join(lines)


def tables(section: type[Section], name: str, field: FieldInfo) -> Iterator[str]:
    """What may stand in each table of a setting that is a list of them."""
    kinds = [kind for kind in get_args(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    for kind in kinds:
        yield f"# [[{section.section}.{name}]]"
        for key, each in kind.model_fields.items():
            says = " ".join((f"{key}: {each.description}", *limits(each)))
            yield from textwrap.wrap(says, 118, initial_indent="#     ", subsequent_indent="#         ")
        yield ""


def limits(field: FieldInfo) -> Iterator[str]:
    """What a value may be, in words."""
    kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if get_origin(kind) is Literal]
    if kinds:
        yield f"One of {', '.join(json.dumps(choice) for choice in get_args(kinds[0]))}."
    low = high = ""
    for rule in field.metadata:
        match rule:
            case annotated_types.Ge(ge=number):
                low = f"at least {number}"
            case annotated_types.Gt(gt=number):
                low = f"more than {number}"
            case annotated_types.Le(le=number):
                high = f"at most {number}"
    if low or high:
        yield f"({', '.join(filter(None, (low, high)))})"


def toml(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def test_the_example_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == written()


def test_every_section_is_there() -> None:
    assert {section.section for section in ALL} == set(SECTIONS)


def test_the_example_says_the_defaults() -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    given = [line[1:] if line.startswith("#") and " = " in line and line[1] != " " else line for line in lines]
    sections = tomllib.loads("\n".join(line for line in given if not line.startswith("#")))
    for section in ALL:
        assert section.model_validate(sections[section.section]) == section()


def test_every_setting_is_described() -> None:
    nameless = [name for section in ALL for name, field in section.model_fields.items() if not field.description]
    assert nameless == []


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
