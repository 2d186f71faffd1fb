"""`forget`: gone for good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise import exits
from edgewise.errors import InvalidInput
from router.cli.local import AsJson, DataDir, as_given, client, data_directory

if TYPE_CHECKING:
    from edgewise.types import Forgotten


def forget(
    record_id: Annotated[str, typer.Argument(help="A record, as `log` shows it.")] = "",
    conversation: Annotated[str, typer.Option(help="All records of a conversation.")] = "",
    document: Annotated[
        str,
        typer.Option(help="A document by its id, which `documents` lists, and the records that cite it."),
    ] = "",
    app: Annotated[
        str, typer.Option(help="Of this app only; without anything else everything of it, its token too.")
    ] = "",
    user: Annotated[str, typer.Option(help="All records of a user id.")] = "",
    before: Annotated[str, typer.Option(help="All records from before a date or time, such as 2026-11-30.")] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask whether you mean it (asked for an app, a user, a date).")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Take out what fits all that is given, and what was derived from it, so that no byte of it is left in the files.

    That is records with their calls, grades and shadow answers; what later turns repeat of them; documents with their
    passages and vectors, and what was looked up in them; what was kept of the cloud's information; caches of prompts
    and answers; what was learned from graded records. It may take a minute. If it is broken off, do it again.
    """
    from edgewise.types import Unwanted

    with as_given():
        unwanted = Unwanted(
            record_id=record_id, conversation_id=conversation, document_id=document, app=app, user_id=user,
            before=before,
        )  # fmt: skip
    if not any(unwanted.model_dump().values()):
        raise InvalidInput("say what to forget: a record, or --conversation, --document, --app, --user or --before")
    if (app or user or before) and not yes:
        _confirmed(unwanted.model_dump(exclude_defaults=True))

    async def work() -> Forgotten:
        async with client(data_directory(data_dir)) as edgewise:
            return await edgewise.forget(unwanted)

    gone = exits.run(work())
    if as_json:
        print(json.dumps(gone.model_dump(mode="json"), ensure_ascii=False, indent=2))
        return
    print(in_words(gone))
    for remark in gone.remarks:
        print(f"  {remark}")


def in_words(gone: Forgotten) -> str:
    counts = (
        (gone.records, "record"),
        (gone.documents, "document"),
        (gone.cloud_info, "piece of cloud information"),
    )
    told = [f"{count:,} {_plural(name, count)}" for count, name in counts if count]
    if gone.redacted:
        told.append(f"what {gone.redacted:,} other {_plural('record', gone.redacted)} repeated")
    return f"forgotten: {', '.join(told)}" if told else "nothing of it is here"


def _plural(name: str, count: int) -> str:
    first, _, rest = name.partition(" ")
    return f"{first}{'s' * (count != 1)}{' ' * bool(rest)}{rest}"


def _confirmed(wanted: dict[str, str]) -> None:
    what = " and ".join(f"{name} {value}" for name, value in wanted.items())
    typer.confirm(f"forget everything of {what}, for good?", abort=True, err=True)
