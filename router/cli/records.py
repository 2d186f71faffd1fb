"""`log` and `grade`."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.local import AsJson, DataDir, client, data_directory, run

if TYPE_CHECKING:
    from edgewise.types import Grade, Record


def log(
    record_id: Annotated[str, typer.Argument(help="Show this record whole; else the newest ones.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many records.")] = 20,
    mode: Annotated[str, typer.Option(help="Only records of this mode.")] = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show what was asked, who answered, what it cost and how it was graded."""

    async def work() -> tuple[Record, ...]:
        async with client(data_directory(data_dir)) as edgewise:
            return (await edgewise.record(record_id),) if record_id else await edgewise.records(limit=limit, mode=mode)

    records = run(work())
    if as_json or record_id:
        import json

        shown = [record.model_dump(mode="json") for record in records]
        print(json.dumps(shown[0] if record_id else shown, ensure_ascii=False, indent=2))
    else:
        _print(records)


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

    given = Grade(record_id=record_id, grader=grader or getpass.getuser(), score=parse_grade(score), comment=comment)

    async def work() -> Grade:
        async with client(data_directory(data_dir)) as edgewise:
            return await edgewise.grade(given)

    kept = run(work())
    print(f"{kept.grader} graded {kept.record_id}: {kept.score:g}")


def _print(records: tuple[Record, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("record", "mode", "by", "cost", "time", "grade", "question"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for record in records:
        grades = [grade.score for grade in record.grades]
        table.add_row(
            record.record_id,
            record.mode,
            record.author or record.error,
            "?" if record.cost_usd is None else f"${record.cost_usd:.6f}",
            f"{record.total_s:.2f} s",
            f"{sum(grades) / len(grades):.2f}" if grades else "-",
            " ".join(record.question.split()),
        )
    console = Console()
    console.print(table if records else "no records yet; ask something with `edgewise ask`")
    ungraded = sum(not record.grades for record in records)
    if ungraded:
        console.print(f"{ungraded} of {len(records)} ungraded", style="dim")
