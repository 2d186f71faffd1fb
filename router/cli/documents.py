"""`ingest`."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise import exits
from router.cli.asking import label
from router.cli.local import AsJson, DataDir, client, data_directory

if TYPE_CHECKING:
    from edgewise.types import Ingested, Privacy, Upload


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files (.txt .md .html .pdf) and directories of them.")],
    collection: Annotated[str, typer.Option(help="A name to group documents by.")] = "default",
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="May what is derived from them leave the device?")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Add documents to what the edge knows. Unchanged files cost nothing; one bad file never stops the rest."""
    failed: list[Ingested] = []
    files = list(files_in(paths, failed))

    async def work() -> list[Ingested]:
        done: list[Ingested] = []
        from rich.console import Console
        from rich.progress import Progress

        async with client(data_directory(data_dir)) as edgewise:
            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("ingesting", total=len(files))
                async for result in edgewise.ingest(uploads(files, collection, label(private), failed)):
                    done.append(result)
                    progress.update(task, completed=len(done) + len(failed))
        return [*done, *failed]

    results = exits.run(work())
    _report(results, as_json=as_json)
    if any(result.status == "FAILED" for result in results):
        raise typer.Exit(1)


def files_in(paths: Iterable[Path], failed: list[Ingested]) -> Iterator[Path]:
    """The regular files under some paths, hidden ones left out; what cannot be read goes to `failed`."""
    for path in paths:
        if path.is_dir():
            for directory, folders, names in os.walk(path, onerror=lambda error: failed.append(_failure(error))):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                yield from (Path(directory) / name for name in sorted(names) if not name.startswith("."))
        else:
            yield path


def uploads(files: Iterable[Path], collection: str, label: Privacy, failed: list[Ingested]) -> Iterator[Upload]:
    """The files, read one at a time; what cannot be read goes to `failed`."""
    from edgewise.types import Ingested, Upload

    for path in files:
        source = str(path.absolute())
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                failed.append(Ingested(source=source, status="FAILED", reason="is not a regular file"))
                continue
            data = path.read_bytes()
        except OSError as error:
            failed.append(_failure(error))
            continue
        yield Upload(source=source, data=data, collection=collection, label=label)


def _failure(error: OSError) -> Ingested:
    from edgewise.types import Ingested

    return Ingested(source=str(error.filename), status="FAILED", reason=f"cannot be read: {error.strerror}")


def _report(results: list[Ingested], *, as_json: bool) -> None:
    import json

    if as_json:
        print(json.dumps([result.model_dump() for result in results], ensure_ascii=False, indent=2))
        return
    counts = {
        status: sum(result.status == status for result in results) for status in ("INGESTED", "UNCHANGED", "FAILED")
    }
    passages = sum(result.passages for result in results if result.status == "INGESTED")
    ingested, unchanged, failed = counts.values()
    print(f"{ingested} ingested ({passages} passages), {unchanged} unchanged, {failed} failed")
    for result in results:
        if result.status == "FAILED":
            print(f"  {result.source}: {result.reason}", file=sys.stderr)
