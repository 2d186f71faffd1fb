"""`compare`, `report` and `demo`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgewise import exits
from edgewise.errors import InvalidInput, NotReady
from router.cli.documents import uploads
from router.cli.local import data_directory

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from edgewise.types import Ingested
    from router.compare.runner import OnProgress
    from router.compare.runner import Progress as RunProgress
    from router.compare.summary import Summary
    from router.wiring import Stack

Judging = Literal["edge", "cloud"]
# A pipe has no width, and what reads it has room for the table.
_PIPED_WIDTH = 110

Out = Annotated[Path, typer.Option("--out", help="Where the records, the summary and the report go.")]


def compare(
    questions: Annotated[Path, typer.Option(help="JSON lines: id, question, answers and more (see router/compare).")],
    out: Out,
    modes: Annotated[
        str,
        typer.Option(
            help="Modes and variants with commas between, such as edge_only+rag, or `all`: each mode, and +cascade."
        ),
    ] = "all",
    docs: Annotated[list[Path] | None, typer.Option(help="Documents for the edge; repeatable.")] = None,
    info_docs: Annotated[list[Path] | None, typer.Option(help="Documents for the cloud's corpus; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions.")] = None,
    seed: Annotated[int, typer.Option(help="Order of the questions and modes.")] = 0,
    concurrency: Annotated[
        int, typer.Option(min=1, max=64, help="Questions in flight. More than one, and they slow each other.")
    ] = 1,
    warm: Annotated[
        bool, typer.Option("--warm", help="Ask all once more, each mode learning from one question to the next.")
    ] = False,
    judge: Annotated[Judging | None, typer.Option(help="Which side scores questions with the scorer `judge`.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out lines that are at fault.")] = False,
    embedded_cloud: Annotated[bool, typer.Option(help="Use the stand-in if no cloud is configured.")] = False,
) -> None:
    """Ask the same questions in several modes, isolated from each other, and compare them with statistics."""
    wanted = _Wanted(
        questions,
        out,
        _modes(modes),
        docs=tuple(docs or ()),
        info_docs=tuple(info_docs or ()),
        limit=limit,
        seed=seed,
        concurrency=concurrency,
        warm=warm,
        judge=judge,
        skip_bad=skip_bad,
        embedded_cloud=embedded_cloud,
    )
    exits.run(_compare(wanted))


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
        show(summary, directory)


def demo(
    out: Out = Path("build/demo"),
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions.")] = None,
) -> None:
    """Compare all modes on a small world of our own, with real models on this machine and a stand-in for the cloud."""
    from router import demo as world
    from router.compare.comparison import ALL_MODES

    docs, info_docs = (world.device_documents(),), (world.cloud_documents(),)
    wanted = _Wanted(world.questions(), out, ALL_MODES, docs, info_docs, limit, embedded_cloud=True)
    exits.run(_compare(wanted))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be compared, as it was asked for."""

    questions: Path
    out: Path
    modes: tuple[str, ...]
    docs: tuple[Path, ...] = ()
    info_docs: tuple[Path, ...] = ()
    limit: int | None = None
    seed: int = 0
    concurrency: int = 1
    warm: bool = False
    judge: Judging | None = None
    skip_bad: bool = False
    embedded_cloud: bool = False


def _modes(given: str) -> tuple[str, ...]:
    from router.compare.comparison import ALL_MODES

    return ALL_MODES if given == "all" else tuple(filter(None, given.split(",")))


async def _compare(wanted: _Wanted) -> None:
    from rich.console import Console

    from router.compare.comparison import check, run_compare
    from router.compare.questions import read_questions
    from router.compare.runner import Manner
    from router.owner import Ownership
    from router.trace import Head
    from router.wiring import Settings, open_stack

    console, out = Console(stderr=True), wanted.out
    faults: list[str] = []
    graded = read_questions(wanted.questions, faults.append if wanted.skip_bad else None)
    for fault in faults:
        console.print(f"left out: {fault}", style="yellow", markup=False, highlight=False)
    manner = Manner(wanted.seed, wanted.concurrency, wanted.warm)
    check(graded[: wanted.limit], wanted.modes, wanted.judge)
    _check_documents(wanted)
    store, settings = data_directory(out / "data"), Settings.load()
    try:
        with Ownership(store), console.status("starting the models") as status:
            opened = open_stack(
                settings.apart(), store, embedded_cloud=wanted.embedded_cloud, corpora=wanted.info_docs
            )  # fmt: skip
            async with opened as stack:
                status.update("ingesting the documents")
                await _ingest(stack, wanted.docs)
                status.stop()
                edge, cloud = await stack.router.status()
                if wanted.judge == "cloud" and not cloud.ready:
                    raise NotReady(
                        f"the cloud cannot judge: {cloud.reason or 'it is not ready'}; use --judge edge, or configure "
                        "one (cloud.address, cloud.backend; or --embedded-cloud)"
                    )
                head = Head(
                    edge=edge, cloud=cloud if cloud.ready else None, settings=settings.router.apart,
                    unknown=settings.privacy.unknown, policy_version=stack.router.policy_version,
                )  # fmt: skip
                judge = stack.judge(wanted.judge) if wanted.judge else None
                with progress_bar(console, "asking") as on_progress:
                    summary = await run_compare(
                        stack.router, graded, wanted.modes, out, head=head, limit=wanted.limit, skipped=len(faults),
                        manner=replace(manner, judge=judge, forget=partial(_forget, stack)), on_progress=on_progress,
                    )  # fmt: skip
    except asyncio.CancelledError:
        console.print(f"stopped; the same command goes on from what {out} has")
        raise
    show(summary, out)


def _check_documents(wanted: _Wanted) -> None:
    """They must be there, and not hold the results, whose questions and answers would be read as documents."""
    for path in (*wanted.docs, *wanted.info_docs):
        if not path.exists():
            raise InvalidInput(f"{path} does not exist; give the documents that there are")
        if wanted.out.resolve().is_relative_to(path.resolve()):
            raise InvalidInput(
                f"--out {wanted.out} lies in the documents {path}, where answers would be read as documents; choose "
                "another --out"
            )


async def _forget(stack: Stack) -> None:
    """What the cloud informed of, which is all that a mode may have learned."""
    from edgewise.types import CLOUD_INFO

    for document in await stack.edge.documents():
        if document.collection == CLOUD_INFO:
            await stack.edge.delete_document(document.id)


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


def bar_on(console: Console) -> Progress:
    """How much of how many is done, since when, until when, and what is being done."""
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
    return Progress(*columns, console=console)


@contextmanager
def progress_bar(console: Console, doing: str) -> Iterator[OnProgress]:
    """How far a run is, and what it answered last."""
    with bar_on(console) as bar:
        task = bar.add_task(doing, total=None, visible=False)

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


def show(summary: Summary, out: Path | None) -> None:
    """The table in a terminal, or in a pipe."""
    from rich.console import Console

    from router.compare.table import print_table

    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)
    print_table(console, summary)
    if out is not None:
        console.print(f"report  {out / 'report.html'}", soft_wrap=True)
