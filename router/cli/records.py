"""`log` and `grade`."""

from __future__ import annotations

import getpass
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise import exits
from router.cli.local import AsJson, DataDir, as_given, client, data_directory

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
        async with client(data_directory(data_dir), records_only=True) as edgewise:
            return (await edgewise.record(record_id),) if record_id else await edgewise.records(limit=limit, mode=mode)

    records = exits.run(work())
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


def _print(records: tuple[Record, ...]) -> None:
    """Two lines a record, so that its id, which `grade` wants, is whole on a narrow terminal, too."""
    if not records:
        print("no records yet; ask something with `edgewise ask`")
        return
    for record in records:
        grades = [grade.score for grade in record.grades]
        facts = (
            record.mode,
            record.author or record.error,
            f"{record.total_s:.2f} s",
            "cost unknown" if record.cost_usd is None else f"${record.cost_usd:.6f}",
            f"graded {sum(grades) / len(grades):.2f}" if grades else "ungraded",
        )
        print(f"{record.record_id}  {' · '.join(facts)}")
        print(f"  {shorten(record.question, 200, placeholder=' ...')}")
    print(f"{sum(not record.grades for record in records)} of {len(records)} ungraded")
