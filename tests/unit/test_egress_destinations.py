"""Telemetry and records on another machine are written down before they leave, too, and wait while they cannot be."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edgewise.errors import NotReady
from edgewise.types import Grade, Privacy
from router.egress import AuditLog, Boundary, Policy, Row, read_rows
from router.egress.outlet import Outlet, Undelivered
from router.log import Log, place_of
from router.telemetry.config import TelemetrySettings
from tests.collectors import collecting
from tests.logs import record
from tests.routers import log_url, until

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def bounded(directory: Path) -> Iterator[Boundary]:
    audit = AuditLog(directory)
    try:
        yield Boundary(Policy("allow"), audit, None)
    finally:
        audit.close()


@contextmanager
def unwritable(directory: Path) -> Iterator[None]:
    """Before the first row: a directory stands where the log should be."""
    (directory / "audit.jsonl").mkdir()
    yield
    (directory / "audit.jsonl").rmdir()


def tries(directory: Path) -> list[Row]:
    return [row for row in read_rows(directory) if row.event == "try"]


@pytest.mark.parametrize("content", [False, True])
def test_telemetry(tmp_path: Path, content: bool) -> None:
    with collecting() as collector, bounded(tmp_path) as boundary:
        outlet = Outlet.of(TelemetrySettings(otlp_endpoint=collector.url, content=content), boundary)
        with unwritable(tmp_path), pytest.raises(Undelivered, match="audit log cannot be written") as caught:
            outlet.post("/v1/traces", b"x" * 30)
        assert caught.value.passing, "it is kept, and sent later"
        assert collector.requests == []
        outlet.post("/v1/traces", b"x" * 30)
        collector.status = 503
        with pytest.raises(Undelivered, match="503"):
            outlet.post("/v1/logs", b"")
    assert len(collector.requests) == 1
    [first, second] = tries(tmp_path)
    assert (first.destination, first.host, first.call, first.size) == ("telemetry", "127.0.0.1", "/v1/traces", 30)
    assert first.label is (Privacy.PUBLIC if content else None)
    ends = {row.of: (row.outcome, row.detail) for row in read_rows(tmp_path) if row.event == "end"}
    assert ends == {first.seq: ("answered", ""), second.seq: ("failed", "Undelivered")}


def test_records_on_another_machine(tmp_path: Path) -> None:
    place = replace(place_of(log_url(tmp_path)), elsewhere=True)

    async def main() -> None:
        with bounded(tmp_path) as boundary:
            with unwritable(tmp_path):
                log = await Log.open(replace(place, elsewhere=False), boundary=boundary, retry_s=0.02)
                await log.close()  # of this machine: no row
            log = await Log.open(place, boundary=boundary, backlog=tmp_path / "backlog.jsonl", retry_s=0.02)
            await log.write(record("a", privacy=Privacy.PRIVATE), ())
            await log.write(record("b", privacy=Privacy.PUBLIC), ())
            (tmp_path / "audit.jsonl").rename(tmp_path / "kept")
            await log.write(record("c"), ())
            await log.grade(Grade(record_id="c", grader="g", score=1))
            assert (log.backlog.count, "audit log cannot be written" in log.backlog.reason) == (2, True)
            (tmp_path / "kept").rename(tmp_path / "audit.jsonl")
            await until(lambda: log.backlog.count == 0)
            assert [one.record_id for one in await log.newest(limit=3)] == ["c", "b", "a"]
            await log.close()

    asyncio.run(main())
    found = tries(tmp_path)
    assert {row.destination for row in found} == {"records"}
    writes = [(row.record_id, row.label, row.released) for row in found if row.call == "write"]
    no_content = "of records that are not public no content"
    assert writes == [
        ("a", None, no_content), ("b", Privacy.PUBLIC, "all of public records"), ("", None, no_content),
    ]  # fmt: skip


def test_records_do_not_leave_without_a_boundary(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="boundary"):
        asyncio.run(Log.open(replace(place_of(log_url(tmp_path)), elsewhere=True)))


# What opens connections without a module that the contract of import-linter could name by itself.
_WAYS_OUT = {"open_connection", "open_unix_connection", "create_connection", "sock_connect", "connect_tcp", "urlopen"}


def test_nothing_else_in_the_router_opens_a_connection() -> None:
    found = set()
    for path in (ROOT / "router").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if name in _WAYS_OUT or {"urllib.request", "http.client", "multiprocessing.connection"} & {*modules}:
                found.add(str(path.relative_to(ROOT)))
    assert found == {"router/egress/outlet.py"}
