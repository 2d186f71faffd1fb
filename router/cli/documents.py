"""`ingest` and `documents`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise import exits
from edgewise.errors import InvalidInput, NotFound
from router.cli.asking import label
from router.cli.local import AsJson, DataDir, client, data_directory
from router.cli.terminal import plain

if TYPE_CHECKING:
    from edge.ingest.folder import File, Found
    from edgewise.client import Client
    from edgewise.types import Document, Ingested, Privacy, Upload


def ingest(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Files and directories (.txt .md .html .pdf .docx .csv .tsv .json .jsonl), or file:// URLs of them."
        ),
    ],
    collection: Annotated[str, typer.Option(help="A name to group documents by.")] = "default",
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="May what is derived from them leave the device?")
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Forget documents of the collection whose files below PATHS are gone.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Add documents to what the edge knows. Unchanged files cost nothing; one bad file never stops the rest.

    In a directory, hidden files and those of other kinds are skipped. Exit code 1 if a file failed.
    """
    place, grouped = data_directory(data_dir), collection or "default"

    async def work() -> list[Ingested]:
        async with client(place) as edgewise:
            return await ingest_paths(edgewise, paths, grouped, label(private), sync=sync)

    results = exits.run(work())
    _report(results, as_json=as_json)
    if any(result.status == "FAILED" for result in results):
        raise typer.Exit(1)


def documents(
    collection: Annotated[str, typer.Option(help="Only those of this collection.")] = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List what the edge knows, oldest first, with the ids that `forget --document` takes."""
    place = data_directory(data_dir)

    async def work() -> tuple[Document, ...]:
        async with client(place) as edgewise:
            return await edgewise.documents(collection)

    found = exits.run(work())
    if as_json:
        print(json.dumps([document.model_dump(mode="json") for document in found], ensure_ascii=False, indent=2))
    elif found:
        print(plain("\n".join(map(_line_of, found))))
    else:
        within = f" in the collection {collection}" if collection else ""
        print(f"no documents{within}; add some with `edgewise ingest`")


def _line_of(document: Document) -> str:
    """Two lines, so that the id is whole on a narrow terminal, too."""
    facts = (document.collection, document.label.lower(), f"{document.passages} passages", document.ingested_at)
    return f"{document.id}  {' · '.join(facts)}\n  {document.source}"


async def ingest_paths(
    edgewise: Client, paths: Sequence[str], collection: str, label: Privacy, *, sync: bool
) -> list[Ingested]:
    """What became of each file below some paths, in their order, and with `sync` of what is no longer there."""
    from edge.ingest.folder import MAX_BYTES, File, Refused, gone_below, survey
    from edgewise.types import Ingested

    known = {document.source: document for document in await edgewise.documents(collection)}
    max_bytes = (await edgewise.edge_status()).max_document_bytes or MAX_BYTES
    roots, found = await asyncio.to_thread(survey, paths, max_bytes)
    results: dict[str, Ingested | None] = {one.source: _at_once(one) for one in found}
    files = [one for one in found if isinstance(one, File)]
    with _progress(files) as advance:

        def done(result: Ingested) -> None:
            results[result.source] = result
            advance(result.source, 1.0)

        changed = []
        for file in files:
            unchanged = await asyncio.to_thread(_if_unchanged, file, known.get(file.source), label, max_bytes)
            if unchanged:
                done(unchanged)
            else:
                changed.append(file)
        if changed:
            async for result in edgewise.ingest(uploads(changed, collection, label, max_bytes, done)):
                if result.status == "INGESTING":
                    advance(result.source, result.passages / result.total)
                else:
                    done(result)
    if sync:
        refused = {PurePath(one.source): one for one in found if isinstance(one, Refused)}
        gone, kept = await asyncio.to_thread(gone_below, known.values(), roots, refused.keys())
        for document in gone:
            with suppress(NotFound):
                await edgewise.delete_document(document.id)
            results[document.source] = Ingested(source=document.source, status="DELETED", passages=document.passages)
        for path, count in kept.items():
            reason = f"{refused[path].reason}; what was ingested from below it ({count}) stays"
            results[refused[path].source] = Ingested(source=refused[path].source, status="FAILED", reason=reason)
    return [result for result in results.values() if result]


def uploads(
    files: Iterable[File], collection: str, label: Privacy, max_bytes: int, failed: Callable[[Ingested], None]
) -> Iterator[Upload]:
    """The files, read one at a time; `failed` is told of what cannot be read."""
    from edge.ingest.folder import read
    from edgewise.types import Ingested, Upload

    for file in files:
        try:
            data = read(file.path, max_bytes)
        except InvalidInput as error:
            failed(Ingested(source=file.source, status="FAILED", reason=error.message))
        else:
            yield Upload(source=file.source, data=data, collection=collection, label=label)


def _at_once(one: Found) -> Ingested | None:
    """What became of something that is not even looked into; None for a file."""
    from edge.ingest.folder import Refused, Skipped
    from edgewise.types import Ingested

    match one:
        case Refused(source, reason):
            return Ingested(source=source, status="FAILED", reason=reason)
        case Skipped(source, ending):
            return Ingested(source=source, status="SKIPPED", reason=f"no loader for {ending or 'files without ending'}")
        case _:
            return None


def _if_unchanged(file: File, known: Document | None, label: Privacy, max_bytes: int) -> Ingested | None:
    """UNCHANGED for what the edge has, content and label; None for what it must be sent, or cannot be read."""
    from edge.ingest.folder import pieces
    from edge.ingest.identity import document_id
    from edgewise.types import Ingested, Privacy

    if known is None or label not in {Privacy.UNKNOWN, known.label}:
        return None
    try:
        is_same = document_id(known.collection, file.source, pieces(file.path, max_bytes)) == known.id
    except InvalidInput:  # the upload will say so
        return None
    return Ingested(source=file.source, status="UNCHANGED", passages=known.passages) if is_same else None


@contextmanager
def _progress(files: Iterable[File]) -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error that counts bytes; it is told which share of a source is done."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    sizes = {file.source: file.size for file in files}
    columns = (TextColumn("ingesting"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=sum(sizes.values()))
        shares: dict[str, float] = {}

        def advance(source: str, share: float) -> None:
            progress.advance(task, sizes.get(source, 0) * (share - shares.get(source, 0.0)))
            shares[source] = share

        yield advance


def _report(results: Sequence[Ingested], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([result.model_dump() for result in results], ensure_ascii=False, indent=2))
        return
    count = Counter(result.status for result in results)
    passages = sum(result.passages for result in results if result.status == "INGESTED")
    print(
        f"{count['INGESTED']} ingested ({passages} passages), {count['UNCHANGED']} unchanged, "
        f"{count['DELETED']} deleted, {count['SKIPPED']} skipped, {count['FAILED']} failed"
    )
    if skipped := sorted({result.reason for result in results if result.status == "SKIPPED"}):
        print("  skipped: " + ", ".join(skipped).replace(", no loader for ", ", "), file=sys.stderr)
    for result in results:
        if result.status == "FAILED":
            print(f"  {result.source}: {result.reason}", file=sys.stderr)
