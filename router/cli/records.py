"""`log` and `grade`."""

from __future__ import annotations

import getpass
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgewise import exits
from edgewise.errors import InvalidInput, NotFound, NotReady
from router.cli.local import AsJson, DataDir, as_given, client, data_directory
from router.cli.terminal import plain

if TYPE_CHECKING:
    from edgewise.client import Client
    from edgewise.types import Grade, Record

Table = Literal["parquet", "jsonl"]
Format = Literal["parquet", "jsonl", "trace"]

_SHOWN = 20
_PAGE = 200


def log(
    record_id: Annotated[str, typer.Argument(help="Show this record whole; else the newest ones.")] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="How many records, the newest ones; else 20, of an export all.")
    ] = None,
    mode: Annotated[str, typer.Option(help="Only what this mode answered; `auto` leaves that to one.")] = "",
    since: Annotated[str, typer.Option(help="Only records from this date or time on, such as 2026-11-30.")] = "",
    export: Annotated[
        Format | None, typer.Option(help="Write a table for other programs, a row a record; or a trace, for `replay`.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file of an export; else standard output.")] = None,
    without_content: Annotated[
        bool, typer.Option("--without-content", help="Export no words: ids, decisions, counts, times and money only.")
    ] = False,
    with_private: Annotated[
        bool, typer.Option("--with-private", help="Let a trace have private questions, too: it has all words.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show what was asked, who answered, what it cost and how it was graded."""
    from router.modes import parse

    if export is None and (out or without_content):
        raise InvalidInput("--out and --without-content are of an export; add --export jsonl or --export parquet")
    if export is not None and (record_id or as_json):
        raise InvalidInput("an export has many records and a format of its own; leave the record and --json out")
    if with_private and export != "trace":
        raise InvalidInput("--with-private is of a trace; a table has everything unless --without-content is given")
    if export == "trace" and (without_content or limit):
        raise InvalidInput("a trace is replayed by its words, and as a whole; leave --without-content and --limit out")
    if mode:
        parse(mode)
    place = data_directory(data_dir)
    if record_id:
        _print_json(exits.run(_one(place, record_id)).model_dump(mode="json"))
    elif export == "trace":
        exits.run(_trace(place, Wanted(None, mode, since), out, with_private=with_private))
    elif export is not None:
        exits.run(_export(place, Wanted(limit, mode, since), export, out, with_content=not without_content))
    elif as_json:
        records = exits.run(_newest(place, Wanted(limit or _SHOWN, mode, since)))
        _print_json([record.model_dump(mode="json") for record in records])
    else:
        found = exits.run(_newest(place, Wanted(limit or _SHOWN, mode, since)))
        print(plain("\n".join(lines_of(found))) if found else _none(mode, since))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records, newest first; no limit means all."""

    limit: int | None
    mode: str
    since: str


async def _one(data_dir: Path, record_id: str) -> Record:
    async with client(data_dir, records_only=True) as edgewise:
        return await edgewise.record(record_id)


async def _newest(data_dir: Path, wanted: Wanted) -> tuple[Record, ...]:
    async with client(data_dir, records_only=True) as edgewise:
        return tuple([record async for page in _pages(edgewise, wanted) for record in page])


async def _pages(edgewise: Client, wanted: Wanted) -> AsyncGenerator[tuple[Record, ...]]:
    """As many as are wanted, or as there are: the end is an empty page."""
    from router.log import parse_moment

    since, left, before = parse_moment(wanted.since), wanted.limit, ""
    while left is None or left > 0:
        limit = _PAGE if left is None else min(left, _PAGE)
        try:
            page = await edgewise.records(limit=limit, mode=wanted.mode, since=since, before_record_id=before)
        except NotFound:  # of `before`, which was there a moment ago
            removed = (
                "records were removed while they were read (router.keep_days, router.keep_records); do it once more"
            )
            raise NotReady(removed) from None
        if not page:
            return
        yield page
        left, before = None if left is None else left - len(page), page[-1].record_id


async def _export(data_dir: Path, wanted: Wanted, file_format: Table, out: Path | None, *, with_content: bool) -> None:
    """A page at a time, so that the size of the log does not matter."""
    from router.log.export import columns, json_lines, opened, row_of

    names = columns(with_content=with_content)
    if out is None and file_format == "parquet":
        raise InvalidInput("Parquet is no text; say where it goes with --out FILE")
    with ExitStack() as stack:
        sink = stack.enter_context(opened(out, file_format, names)) if out else json_lines(sys.stdout.write, names)
        advance = stack.enter_context(_counting()) if out else None
        async with client(data_dir, records_only=True) as edgewise, aclosing(_pages(edgewise, wanted)) as pages:
            async for page in pages:
                sink([row_of(record, with_content=with_content) for record in page])
                if advance is not None:
                    advance(len(page))


async def _trace(data_dir: Path, wanted: Wanted, out: Path | None, *, with_private: bool) -> None:
    from router.log.export import unfinished

    left_out = 0
    with ExitStack() as stack:
        file = sys.stdout
        if out is not None:
            file = stack.enter_context(stack.enter_context(unfinished(out)).open("w", encoding="utf-8"))
        advance = stack.enter_context(_counting("lines")) if out else None
        async with (
            client(data_dir, records_only=True) as edgewise,
            aclosing(edgewise.trace(since=wanted.since, mode=wanted.mode, with_private=with_private)) as lines,
        ):
            async for line, so_far in lines:
                left_out = so_far
                if line:
                    file.write(f"{line}\n")
                if advance is not None:
                    advance(1)
    if left_out:
        told = f"left out: {left_out} answer{'s' * (left_out != 1)}, private (--with-private) or without words here"
        print(told, file=sys.stderr)


@contextmanager
def _counting(what: str = "records") -> Iterator[Callable[[int], None]]:
    """How many of them were written so far, on standard error; how many there are is not known before."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn(f"{{task.completed:,}} {what}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda count: progress.advance(task, count)


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, ensure_ascii=False, indent=2))


def grade(
    record_id: Annotated[str, typer.Argument(help="The record, as `log` and `ask` show it.")],
    score: Annotated[str, typer.Argument(help="`up`, `down`, or a number from 0 (wrong) to 1 (right).")],
    grader: Annotated[str, typer.Option(help="Who grades; else your user name.")] = "",
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Say how good an answer was."""
    from edgewise.types import Grade
    from router.log import parse_grade

    with as_given():
        given = Grade(record_id=record_id, grader=grader or _user(), score=parse_grade(score), comment=comment)

    async def work() -> Grade:
        async with client(data_directory(data_dir), records_only=True) as edgewise:
            return await edgewise.grade(given)

    kept = exits.run(work())
    print(f"{kept.grader} graded {kept.record_id}: {kept.score:g}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an entry in the password database, as in containers
        return "user"


def _none(mode: str, since: str) -> str:
    """What is said when there is nothing to show."""
    if not mode and not since:
        return "no records yet; ask something with `edgewise ask`"
    wanted = f"{f' of {mode}' if mode else ''}{f' since {since}' if since else ''}"
    return (
        f"no records{wanted} (a record is of the mode that answered in the end); `edgewise log` shows the newest of all"
    )


def _cost(record: Record) -> str:
    if record.cost_usd is None:
        return "cost unknown"
    basis = f" ({record.cost_basis.value.lower()})" if record.cost_basis else ""
    return f"${record.cost_usd:.6f}{basis}"


def lines_of(records: tuple[Record, ...]) -> Iterator[str]:
    """Two lines a record, so that its id, which `grade` wants, is whole on a narrow terminal, too."""
    for record in records:
        grades = [grade.score for grade in record.grades]
        facts = (
            record.mode,
            record.author or record.error,
            f"{record.total_s:.2f} s",
            _cost(record),
            f"graded {sum(grades) / len(grades):.2f}" if grades else "ungraded",
            *([f"for {record.app}"] if record.app else []),
            *(["shadow, shown to nobody"] if record.shadow_of else []),
        )
        yield f"{record.record_id}  {' · '.join(facts)}"
        yield f"  {shorten(record.question, 200, placeholder=' ...')}"
    yield f"{sum(not record.grades for record in records)} of {len(records)} ungraded"
