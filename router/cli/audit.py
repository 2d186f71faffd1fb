"""`audit verify` and `audit show`: what was let out of this device, and whether the log of it is whole."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise.errors import NotReady
from router.cli.local import AsJson, DataDir, data_directory

if TYPE_CHECKING:
    from router.egress.rows import Row
    from router.egress.verify import Verified

audit = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The log of everything that was let out of this device."
)


@audit.command()
def verify(
    head: Annotated[
        str, typer.Option(help="A head that `edgewise status` printed before, NUMBER:HASH: that row must be there.")
    ] = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Say whether rows were changed, taken out or put elsewhere, and how many there are. Exit code 1 if any were."""
    from router.egress.verify import parse_head, verified

    noted = parse_head(head) if head else None
    with _readable():
        found = verified(data_directory(data_dir), noted=noted)
    if as_json:
        print(json.dumps({"intact": found.intact, **found.model_dump(mode="json")}, indent=2))
    else:
        print("\n".join(_in_words(found)))
    if not found.intact:
        raise typer.Exit(1)


@audit.command()
def show(
    limit: Annotated[int, typer.Option(min=1, help="How many rows, the newest ones.")] = 20,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show the newest rows: when, to whom, which kind of call, of which record, how much, and why it might leave."""
    from router.egress.rows import read_rows

    with _readable():
        rows = deque(read_rows(data_directory(data_dir)), maxlen=limit)
    for row in rows:
        print(row.model_dump_json(exclude_defaults=True) if as_json else _line(row))


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotReady(f"the audit log cannot be read ({error}); use the account that runs edgewise") from None
    except ValueError as error:
        raise NotReady(f"a line of the audit log was changed: {error}; see `edgewise audit verify`") from None


def _in_words(found: Verified) -> list[str]:
    if not found.rows and found.intact:
        return ["nothing was let out of this device yet"]
    state = "intact" if found.intact else "NOT INTACT"
    span = f", {found.first} to {found.last}" if found.rows else ""
    lines = [f"{found.rows:,} {'row' if found.rows == 1 else 'rows'}{span}: {state}"]
    lines += [f"  {problem}" for problem in found.problems]
    lines += [f"  and {found.more_problems} problems more"] if found.more_problems else []
    lines += [
        f"to {destination:<10} {count:,} {'try' if count == 1 else 'tries'}"
        for destination, count in found.tries.items()
    ]
    ends = ", ".join(f"{count} {outcome}" for outcome, count in found.ends.items())
    if found.tries:
        lines.append(f"of these: {ends or 'none has ended'}; {found.open} open")
    lines += [f"the last row broke off ({found.torn} bytes); nothing was sent after it"] if found.torn else []
    return [*lines, f"head: {found.last}:{found.head}"] if found.head else lines


def _line(row: Row) -> str:
    match row.event:
        case "try":
            why = ": ".join(filter(None, (row.label, row.released)))
            size = "" if row.size is None else f"{row.size:,} bytes"
            record = f"record {row.record_id}" if row.record_id else ""
            more = (why, ", ".join(filter(None, (size, record))))
            first = f"{row.seq:>8} {row.at} {row.destination} ({row.host}) {row.call}"
            return "\n".join((first, *(f"{'':>8} {line}" for line in more if line)))
        case "end":
            return f"{row.seq:>8} {row.at}   of {row.of}: {row.outcome} {row.detail}".rstrip()
    return f"{row.seq:>8} {row.at} {row.detail}"
