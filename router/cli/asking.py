"""`ask` and `chat`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import textwrap
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from edgewise import exits
from edgewise.errors import EdgewiseError, InvalidInput
from edgewise.keys import new_id
from router.cli.local import AsJson, DataDir, EmbeddedCloud, as_given, client, data_directory
from router.cli.terminal import plain

if TYPE_CHECKING:
    from edgewise.client import Answer, Client
    from edgewise.types import Done, Passage, Privacy, Question

_QUOTED = 120

Mode = Annotated[str, typer.Option(help="One of the modes, such as edge_only or post_arbitration+cascade.")]
Private = Annotated[bool | None, typer.Option("--private/--public", help="Never send it away, or let it be sent.")]


def ask(
    question: Annotated[str, typer.Argument(help="The question; `-` reads it from standard input.")],
    mode: Mode = "",
    private: Private = None,
    collection: Annotated[list[str] | None, typer.Option(help="Look only into this collection; repeatable.")] = None,
    conversation: Annotated[str, typer.Option(help="Go on with the conversation of this id.")] = "",
    max_cost_usd: Annotated[float | None, typer.Option(min=0, help="Most that the answer may cost.")] = None,
    max_latency_s: Annotated[float | None, typer.Option(min=0.001, help="Longest time for the answer.")] = None,
    schema: Annotated[Path | None, typer.Option(help="A file with a JSON Schema that the answer obeys.")] = None,
    steps: Annotated[bool, typer.Option("--steps", help="Show what was decided on the way.")] = False,
    as_json: AsJson = False,
    embedded_cloud: EmbeddedCloud = False,
    data_dir: DataDir = None,
) -> None:
    """Ask one question. The answer goes to standard output, everything else to standard error."""
    from edgewise.types import Question

    with as_given():
        asked = Question(
            text=_text(sys.stdin.buffer.read() if question == "-" else os.fsencode(question)),
            mode=mode,
            privacy=label(private),
            collections=tuple(collection or ()),
            conversation_id=conversation,
            max_cost_usd=max_cost_usd,
            max_latency_s=max_latency_s,
            response_schema=_schema(schema) if schema else "",
            # What a pipe has read cannot be retracted.
            hold=as_json or not sys.stdout.isatty(),
        )
    if not asked.text.strip():
        raise InvalidInput("the question is empty; give it as an argument, or `-` and standard input")

    async def work() -> None:
        async with client(data_directory(data_dir), embedded_cloud=embedded_cloud) as edgewise:
            if as_json:
                _print_json(await edgewise.answer(asked))
            else:
                await _show(edgewise, asked, steps=steps)

    exits.run(work())


def chat(
    mode: Mode = "",
    private: Private = None,
    conversation: Annotated[str, typer.Option(help="Go on with the conversation of this id.")] = "",
    embedded_cloud: EmbeddedCloud = False,
    data_dir: DataDir = None,
) -> None:
    """Talk: the conversation is remembered. `/mode NAME` changes the mode, `/quit` or Ctrl-D ends."""
    from edgewise.types import Question

    conversation_id = conversation or new_id()[:12]
    # Between answers the loop rests, so that a line can be read without a thread that Ctrl-C could not end.
    with asyncio.Runner() as runner:
        exits = AsyncExitStack()
        opening = client(data_directory(data_dir), embedded_cloud=embedded_cloud)
        try:
            edgewise = runner.run(exits.enter_async_context(opening))
            print(f"conversation {conversation_id}; /quit or Ctrl-D ends it", file=sys.stderr)
            while (line := _next_line()) is not None:
                command, _, argument = line.decode(errors="replace").partition(" ")
                if command == "/mode":
                    mode = argument.strip()
                    continue
                try:
                    with as_given():
                        asked = Question(
                            text=_text(line),
                            mode=mode,
                            privacy=label(private),
                            conversation_id=conversation_id,
                            hold=not sys.stdout.isatty(),
                        )
                    runner.run(_show(edgewise, asked, steps=False))
                except EdgewiseError as error:
                    print(f"error: {error.message}", file=sys.stderr)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        finally:
            runner.run(exits.aclose())


def _text(given: bytes) -> str:
    try:
        return given.decode()
    except UnicodeDecodeError:
        raise InvalidInput("the question is not UTF-8; convert it first, with iconv for example") from None


def _schema(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read ({error}); give a file with a JSON Schema, in UTF-8") from None


def _next_line() -> bytes | None:
    """The next line that says something; None at the end. A prompt is for people, not for pipes."""
    while True:
        if sys.stdin.isatty() and sys.stdout.isatty():
            with suppress(ImportError):
                import readline  # noqa: F401 - gives `input` its arrow keys and its history
            try:
                line = os.fsencode(input("> ") + "\n")
            except EOFError:
                return None
        else:
            line = sys.stdin.buffer.readline()
        if not line or line.strip() == b"/quit":
            return None
        if line.strip():
            return line.strip()


def label(private: bool | None) -> Privacy:
    from edgewise.types import Privacy

    return Privacy.UNKNOWN if private is None else Privacy.PRIVATE if private else Privacy.PUBLIC


async def _show(edgewise: Client, question: Question, *, steps: bool) -> None:
    from edgewise.types import Citations, Done, Retraction, Step, Token

    passages: tuple[Passage, ...] = ()
    async for event in edgewise.ask(question):
        match event:
            case Token():
                _write(event.text, sys.stdout)
            case Retraction():
                _write(f"\n[retracted: {event.reason}]\n", sys.stdout)
            case Citations():
                passages = event.passages
            case Step() if steps:
                numbers = "  ".join(f"{name}={value:.3g}" for name, value in event.numbers.items())
                _write(f"  [{event.where}] {event.name}: {event.detail}  {numbers}\n", sys.stderr)
            case Done():
                _write("\n", sys.stdout)
                _write(_footer(event, passages), sys.stderr)


def _footer(done: Done, passages: tuple[Passage, ...]) -> str:
    from edgewise.types import Grounding

    cost = "cost unknown" if done.cost_usd is None else f"${done.cost_usd:.6f}"
    basis = f" ({done.cost_basis.value.lower()})" if done.cost_basis else ""
    stands_on = {
        Grounding.GROUNDED: "from sources",
        Grounding.OWN_KNOWLEDGE: "from the model's own knowledge",
        Grounding.ABSTAINED: "not answered",
    }[done.grounding]
    lines = [f"{done.mode} · {done.author} · {stands_on} · {done.total_s:.2f} s · {cost}{basis} · {done.record_id}"]
    lines += [_citation(passage) for passage in passages]
    lines += [f"  {'degraded: ' if done.degraded else ''}{done.reason}"] if done.reason else []
    return "\n".join(lines) + "\n"


def _citation(passage: Passage) -> str:
    """Where the answer stands, and the words there."""
    quoted = " … ".join(passage.text.value[span.start : span.end] for span in passage.spans)
    shown = f': "{textwrap.shorten(quoted, _QUOTED, placeholder=" …")}"' if quoted else ""
    expired = f", expired {passage.expires_at}" if passage.stale else ""
    return f"  {passage.source} ({passage.origin}{expired}){shown}"


def _print_json(answer: Answer) -> None:
    shown = {
        "answer": answer.text,
        **answer.done.model_dump(mode="json"),
        "citations": [passage.model_dump(mode="json") for passage in answer.citations],
        "steps": [step.model_dump(mode="json") for step in answer.steps],
    }
    _write(json.dumps(shown, ensure_ascii=False, indent=2) + "\n", sys.stdout)


def _write(text: str, stream: TextIO) -> None:
    stream.write(plain(text))
    stream.flush()
