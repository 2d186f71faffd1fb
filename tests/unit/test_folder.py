"""The walk: which files of a path are read, and why not the others. On a real file system."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edge.ingest.folder import MAX_BYTES, File, Refused, Skipped, located, pieces, read, survey, walk
from edge.ingest.identity import document_id
from edgewise.errors import InvalidInput
from tests import awkward


def sources(root: Path, name: str = "root") -> list[str]:
    return [found.source for found in walk(root, name, MAX_BYTES) if isinstance(found, File)]


def test_files_come_in_a_fixed_order_under_the_name_of_their_root(tmp_path: Path) -> None:
    for name in ("b.md", "a.txt", "z/c.MD", "c/d/e.pdf", ".git/x.md", "c/.y.md", "README", "i.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = tuple(walk(tmp_path, "root", MAX_BYTES))
    assert sources(tmp_path) == ["root/a.txt", "root/b.md", "root/c/d/e.pdf", "root/z/c.MD"]
    assert [one for one in found if not isinstance(one, File)] == [
        Skipped("root/README", ""),
        Skipped("root/i.png", ".png"),
    ]
    assert sources(tmp_path / "b.md", "b.md") == ["b.md"]


def test_the_awkward_folder(tmp_path: Path) -> None:
    root = tmp_path / "awkward"
    root.mkdir()
    refused = awkward.make(root)
    found = {one.source.removeprefix("root/"): one for one in walk(root, "root", MAX_BYTES)}
    assert found.pop("photo.png") == Skipped("root/photo.png", ".png")
    for name in awkward.GOOD:
        assert isinstance(found.pop(name), File)
    assert isinstance(found.pop("inside.txt"), File)
    for name, reason in refused.items():
        one = found.pop(name)
        # Files are walked by what the file system says of them, and opened later; loaders say the rest.
        if name in awkward.BAD and name != "sparse.txt":
            assert isinstance(one, File)
        else:
            assert isinstance(one, Refused)
            assert reason in one.reason
    assert found == {}


def test_a_walk_is_not_deeper_than_the_stack(tmp_path: Path) -> None:
    """And where paths are too long for the system, that directory is refused and the rest is read."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("ddd", dir_fd=here)
        below = os.open("ddd", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (tmp_path / "a.md").write_text("x")
    try:
        first, last = walk(tmp_path, "root", MAX_BYTES)
    finally:
        subprocess.run(["rm", "-r", tmp_path / "ddd"], check=True)  # shutil goes no deeper than the stack
    assert isinstance(first, File)
    assert isinstance(last, Refused)
    assert "File name too long" in last.reason


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("", "is empty"),
        ("http://example.org/a.md", "download"),
        ("s3://bucket/a.md", "download"),
        ("file://server/a.md", "another machine"),
        ("file:///a.md#part", "%23"),
        ("file:///a%00.md", "file:///PATH"),
        ("file://[/a.md", "URL"),
    ],
)
def test_what_is_not_on_this_device_is_refused(argument: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        located(argument)
    _, found = survey([argument], MAX_BYTES)
    assert isinstance(found[0], Refused)


def test_urls_and_detours_name_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "a ü.md").write_text("x")
    given = (
        "a ü.md",
        "./a ü.md",
        "sub/../a ü.md",
        f"file://{tmp_path}/a%20%C3%BC.md",
        f"FILE://localhost{tmp_path}",
        ".",
    )
    roots, found = survey(given, MAX_BYTES)
    assert roots == (tmp_path / "a ü.md", tmp_path)
    assert found == (File(tmp_path / "a ü.md", str(tmp_path / "a ü.md"), 1),)


def test_detours_behind_a_link_are_those_of_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "inner")
    assert located(f"{tmp_path}/near/../a.md") == (tmp_path / "far" / "a.md").resolve()


def test_named_files_are_refused_where_found_ones_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("x")
    _, found = survey([str(tmp_path / "a.png"), str(tmp_path / "none.md")], MAX_BYTES)
    assert [type(one) for one in found] == [Refused, Refused]
    assert [one.reason.split(";")[0] for one in found if isinstance(one, Refused)] == [
        "is of an unknown type",
        "is not there",
    ]


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    os.truncate(tmp_path / "a.txt", 1001)
    (found,) = walk(tmp_path, "root", 1000)
    assert found == Refused("root/a.txt", "is larger than 1000 bytes; split it, or raise edge.max_document_bytes")
    with pytest.raises(InvalidInput, match="larger"):
        read(tmp_path / "a.txt", 1000)


def test_what_becomes_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(InvalidInput, match="not a regular file"):
        read(tmp_path / "a.txt", MAX_BYTES)


def test_what_changes_or_goes_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    content = pieces(path, MAX_BYTES)
    assert next(content) == b"before"
    path.write_text("afterwards")
    with pytest.raises(InvalidInput, match="changed"):
        next(content)
    path.unlink()
    with pytest.raises(InvalidInput, match="not there"):
        read(path, MAX_BYTES)


def test_a_file_read_in_pieces_is_the_same_document(tmp_path: Path) -> None:
    data = os.urandom(3 * 1024 * 1024 + 7)
    (tmp_path / "a.txt").write_bytes(data)
    in_pieces = document_id("default", "a.txt", pieces(tmp_path / "a.txt", MAX_BYTES))
    assert in_pieces == document_id("default", "a.txt", [read(tmp_path / "a.txt", MAX_BYTES)])
    assert in_pieces != document_id("other", "a.txt", [data])
