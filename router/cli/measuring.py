"""`compare`, `report` and `demo`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise import exits
from edgewise.errors import InvalidInput
from router.cli.documents import uploads
from router.cli.local import data_directory

if TYPE_CHECKING:
    from rich.console import Console

    from edgewise.types import Ingested
    from router.compare.runner import OnProgress
    from router.compare.runner import Progress as RunProgress
    from router.compare.summary import Summary
    from router.wiring import Stack

# A pipe has no width, and what reads it has room for the table.
_PIPED_WIDTH = 110

Out = Annotated[Path, typer.Option("--out", help="Where the records, the summary and the report go.")]


def compare(
    questions: Annotated[Path, typer.Option(help="JSON lines: id, question, answers and more (see router/compare).")],
    out: Out,
    modes: Annotated[str, typer.Option(help="Modes and variants with commas between, or `all`.")] = "all",
    docs: Annotated[list[Path] | None, typer.Option(help="Documents for the edge; repeatable.")] = None,
    info_docs: Annotated[list[Path] | None, typer.Option(help="Documents for the cloud's corpus; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions.")] = None,
    seed: Annotated[int, typer.Option(help="Order of the questions and modes.")] = 0,
    embedded_cloud: Annotated[bool, typer.Option(help="Use the stand-in if no cloud is configured.")] = False,
) -> None:
    """Ask the same questions in several modes, isolated from each other, and compare them with statistics."""
    from router.compare.comparison import ALL_MODES

    chosen = ALL_MODES if modes == "all" else tuple(filter(None, modes.split(",")))
    exits.run(_compare(questions, out, chosen, docs or (), info_docs or (), limit, seed, embedded_cloud=embedded_cloud))


def report(
    directory: Annotated[Path, typer.Argument(help="The --out of a comparison.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
) -> None:
    """Make the summary and the report of a comparison again from its records."""
    from router.compare import table
    from router.compare.comparison import report_again

    summary = report_again(directory)
    if markdown:
        print(table.markdown(summary))
    else:
        _print(summary, directory)


def demo(
    out: Out = Path("build/demo"),
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions.")] = None,
) -> None:
    """Compare all modes on a small world of our own, with real models on this machine and a stand-in for the cloud."""
    from router import demo as world
    from router.compare.comparison import ALL_MODES

    docs, info_docs = (world.device_documents(),), (world.cloud_documents(),)
    exits.run(_compare(world.questions(), out, ALL_MODES, docs, info_docs, limit, 0, embedded_cloud=True))


async def _compare(
    questions: Path,
    out: Path,
    modes: Sequence[str],
    docs: Sequence[Path],
    info_docs: Sequence[Path],
    limit: int | None,
    seed: int,
    *,
    embedded_cloud: bool,
) -> None:
    from rich.console import Console

    from router.compare.comparison import run_compare
    from router.compare.questions import read_questions
    from router.modes import parse
    from router.owner import Ownership
    from router.wiring import Settings, open_stack

    graded = read_questions(questions)
    for mode in modes:
        parse(mode)
    missing = [str(path) for path in (*docs, *info_docs) if not path.exists()]
    if missing:
        raise InvalidInput(f"{missing[0]} does not exist")
    console = Console(stderr=True)
    store = data_directory(out / "data")
    try:
        with Ownership(store), console.status("starting the models") as status:
            opened = open_stack(Settings.load().apart(), store, embedded_cloud=embedded_cloud, corpora=info_docs)
            async with opened as stack:
                status.update("ingesting the documents")
                await _ingest(stack, docs)
                status.stop()
                edge, cloud = await stack.router.status()
                with _progress(console) as on_progress:
                    summary = await run_compare(
                        stack.router, graded, modes, out, seed=seed, limit=limit, on_progress=on_progress,
                        edge=edge, cloud=cloud if cloud.ready else None,
                    )  # fmt: skip
    except asyncio.CancelledError:
        console.print(f"stopped; the same command goes on from what {out} has")
        raise
    _print(summary, out)


async def _ingest(stack: Stack, docs: Sequence[Path]) -> None:
    """All of them must be readable: an answer that is missed for want of a document is not the mode's fault."""
    from edge.ingest.folder import MAX_BYTES, File, Refused, survey
    from edgewise.types import Privacy

    max_bytes = (await stack.edge.status()).max_document_bytes or MAX_BYTES
    _, found = survey(map(str, docs), max_bytes)
    failed = [(one.source, one.reason) for one in found if isinstance(one, Refused)]
    files = [one for one in found if isinstance(one, File)]

    def fail(result: Ingested) -> None:
        failed.append((result.source, result.reason))

    for upload in uploads(files, "default", Privacy.UNKNOWN, max_bytes, fail):
        result = await stack.edge.ingest(upload)
        if result.status == "FAILED":
            fail(result)
    if failed:
        raise InvalidInput("{} {}".format(*failed[0]))


@contextmanager
def _progress(console: Console) -> Iterator[OnProgress]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("asking", total=None, visible=False)

        def update(progress: RunProgress) -> None:
            last = progress.last
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                visible=True,
                description=f"{last.id} {last.mode}" if last else "",
            )

        yield update


def _print(summary: Summary, out: Path) -> None:
    from rich.console import Console

    from router.compare.table import print_table

    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)
    print_table(console, summary)
    console.print(f"report  {out / 'report.html'}", soft_wrap=True)
