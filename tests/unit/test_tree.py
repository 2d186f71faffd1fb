"""The limits that keep the tree readable, and the values of the contract against its messages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor

from edgewise import types
from edgewise.v1 import cloud_pb2, edge_pb2, router_pb2, types_pb2

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "protos" / "edgewise" / "v1"
FOLDERS = ("protos/edgewise", "edge", "cloud", "router", "tests", "deploy")
SOURCES = sorted(
    path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if not path.is_relative_to(GENERATED)
)

FILE_LINES = 400
FUNCTION_LINES = 60
MODE_LINES = 120

OTHER_NAMES = {
    "AskRequest": "Question",
    "ForgetRequest": "Unwanted",
    "IngestFile": "Upload",
    "IngestResponse": "Ingested",
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path, node


def test_files_are_short() -> None:
    assert {name(path): lines(path) for path in SOURCES if lines(path) > FILE_LINES} == {}


def test_no_page_has_the_marks_of_a_merge() -> None:
    pages = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
    assert len(pages) > 10
    assert [name(page) for page in pages if re.search("(?m)^(<<<<<<<|>>>>>>>) ", page.read_text("utf-8"))] == []


def test_modes_are_short() -> None:
    modes = (ROOT / "router" / "modes").glob("*.py")
    assert {name(path): lines(path) for path in modes if lines(path) > MODE_LINES} == {}


def test_functions_are_short() -> None:
    long = {
        f"{name(path)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path, node in nodes()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    }
    assert long == {}


def test_nothing_is_global() -> None:
    assert [f"{name(path)}:{node.lineno}" for path, node in nodes() if isinstance(node, ast.Global)] == []


def test_files_are_named_for_what_is_in_them() -> None:
    vague = re.compile(r"(?:^|/)(?:utils?|helpers?|common|misc)(?:\.py|/)")
    assert [name(path) for path in SOURCES if vague.search(name(path))] == []


def test_values_and_messages_have_the_same_fields() -> None:
    for value, message in pairs():
        names = {field.name for field in message.fields}
        if value is types.Upload:
            names.add("data")  # travels in messages of its own, after the file's
        assert names == set(value.model_fields), message.full_name


def test_every_value_has_a_message() -> None:
    values = {value for value in vars(types).values() if isinstance(value, type) and issubclass(value, types.Value)}
    assert values - {value for value, _ in pairs()} == {types.Value}


def pairs() -> Iterator[tuple[type[types.Value], Descriptor]]:
    for file in (types_pb2, edge_pb2, cloud_pb2, router_pb2):
        for message in file.DESCRIPTOR.message_types_by_name.values():
            value = getattr(types, OTHER_NAMES.get(message.name, message.name), None)
            if value is not None:
                yield value, message
