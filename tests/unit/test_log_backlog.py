"""The file of what waits for a database."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgewise.types import Grade
from router.log import backlog
from router.log.backlog import Line, Queue
from tests.logs import call, record


def line(name: str, **given: object) -> Line:
    return Line(record=record(name, **given), calls=(call(name),))


def grade(name: str, grade_id: str) -> Line:
    return Line(grade=Grade(record_id=name, grader="g", score=1), grade_id=grade_id)


@contextmanager
def full_disk(path: Path, more: int) -> Iterator[None]:
    """Files may grow by so many bytes over the size of `path`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_lines_come_back_in_order_after_reopening(tmp_path: Path) -> None:
    given = (line("a", answer="\n\u2028\0"), grade("a", "1"), line("b"), grade("b", "2"))
    queue = Queue(tmp_path / "backlog.jsonl")
    for one in given:
        queue.add(one)
    for opened in (queue, Queue(tmp_path / "backlog.jsonl")):
        assert opened.first(9) == given
        assert opened.first(3) == given[:3]
        assert [one.record_id for one in opened.records(lambda _: True, None)] == ["b", "a"]
        assert [one.record_id for one in opened.records(lambda _: True, None, before="b")] == ["a"]
        assert opened.records(lambda entry: entry.record_id == "a", 1)[0].grades == (given[1].grade,)
        assert (opened.has("a"), opened.has("c"), opened.calls("b")) == (True, False, (call("b"),))


def test_what_is_dropped_is_gone_and_with_the_last_line_the_file(tmp_path: Path) -> None:
    path = tmp_path / "backlog.jsonl"
    queue = Queue(path)
    for name in ("a", "b", "c"):
        queue.add(line(name))
    queue.drop(2)
    assert [one.record_id for one in queue.records(lambda _: True, None)] == ["c"]
    queue.add(line("d"))
    assert [one.record_id for one in queue.records(lambda _: True, None)] == ["d", "c"]
    queue.drop(2)
    assert (queue.count, path.exists()) == (0, False)
    queue.add(line("e"))
    assert [one.record_id for one in Queue(path).records(lambda _: True, None)] == ["e"]


def test_a_full_disk_leaves_no_half_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "backlog.jsonl"
    queue = Queue(path)
    queue.add(line("a"))
    before = path.read_bytes()
    with full_disk(path, 100), pytest.raises(OSError, match="File too large"):
        queue.add(line("b"))
    assert (path.read_bytes(), queue.count) == (before, 1)
    queue.add(line("c"))
    assert [one.record_id for one in Queue(path).records(lambda _: True, None)] == ["c", "a"]


def test_of_many_bytes_only_some_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "_READ_BYTES", 5_000)
    queue = Queue(tmp_path / "backlog.jsonl")
    for name in ("a", "b", "c", "d"):
        queue.add(line(name, answer="x" * 2_000))
    assert 0 < len(queue.first(9)) < 4
    queue.drop(3)
    queue.add(line("e", answer="x" * 9_000))
    queue.drop(1)
    assert len(queue.first(9)) == 1


def test_without_a_path_nothing_waits() -> None:
    queue = Queue(None)
    assert (queue.is_open, queue.count, queue.first(1), queue.records(lambda _: True, 1)) == (False, 0, (), ())
