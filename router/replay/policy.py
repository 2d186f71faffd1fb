"""Who decides in a replay: a mode with its settings, or a router from elsewhere that says who gets each question."""

from __future__ import annotations

import csv
import json
import math
import shlex
import subprocess
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgewise.errors import InvalidInput, NotFound
from edgewise.wire import invalid
from router.compare.questions import Graded
from router.compare.rows import WARM
from router.config import RouterSettings
from router.modes import parse

_COMMAND_S = 600.0
_LINE_BYTES = 65_536
_SIDES = {True: "cloud_only", False: "edge_only"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to be scored, under a name. `mode_of` is the mode that a question gets; None: nothing was decided.

    `ids` are the questions of a table, whether the trace has them or not.
    """

    name: str
    mode_of: Callable[[Graded], str | None]
    ids: frozenset[str] = frozenset()


def of_mode(name: str) -> Candidate:
    """A mode for every question; `MODE (warm)` is that of a warm pass."""
    mode = name.removesuffix(WARM)
    parse(mode)
    return Candidate(name, lambda _: mode)


def settings_of(path: Path, recorded: RouterSettings) -> tuple[RouterSettings, Path | None]:
    """The settings of the trace with those of a TOML file over them, and the trained arbiter that it names, if any.

    The file has keys of `[router]`, under that heading or without it, and perhaps `arbiter`, a directory.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"there is no policy at {path}") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is no TOML file: {error}") from None
    within = table.get("router", {})
    if not isinstance(within, dict):
        raise InvalidInput(f"{path}: `router` is a heading, [router]; put settings of the router below it")
    table = within | {key: value for key, value in table.items() if key != "router"}
    arbiter = table.pop("arbiter", None)
    try:
        settings = RouterSettings.model_validate(recorded.model_dump() | table)
    except ValidationError as error:
        raise InvalidInput(f"{path}: {invalid(error).message}") from None
    if arbiter is None:
        return settings, None
    directory = path.parent / str(arbiter)
    if not directory.is_dir():
        raise NotFound(f"{path}: there is no directory of a trained arbiter at {directory}")
    return settings, directory


def of_table(path: Path, threshold: float) -> Candidate:
    """Decisions in a CSV file with the columns `id` and either `mode` or `score`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except FileNotFoundError:
        raise NotFound(f"there is no file of decisions at {path}") from None
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read as CSV: {error}") from None
    columns = set(rows[0]) if rows else set()
    if "id" not in columns or not columns & {"mode", "score"}:
        raise InvalidInput(f"{path.name} needs a line of headings with `id`, and `mode` or `score`")
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        if not row["id"]:
            raise InvalidInput(f"{path.name}, line {number}: it has no id")
        if row["id"] in found:
            raise InvalidInput(f"{path.name}, line {number}: the id {row['id']!r} is there already")
        found[row["id"]] = _decided(row, threshold, f"{path.name}, line {number}")
    return Candidate(path.stem, lambda question: found.get(question.id), frozenset(found))


def of_command(command: str, questions: Sequence[Graded], threshold: float) -> Candidate:
    """Decisions of a program: it reads a line `{"id", "question"}` a question, and writes a line for each, in order.

    A line is a mode, a score, or an object with either. The program gets prompts and no answer, key or score, and none
    that is private: who knows where it sends them.
    """
    questions = [question for question in questions if not question.private]
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InvalidInput(f"the command cannot be read ({error}); quote it as for a shell") from None
    if not words:
        raise InvalidInput("the command is empty; give a program that reads prompts")
    asked = "".join(json.dumps({"id": one.id, "question": one.text}, ensure_ascii=False) + "\n" for one in questions)
    lines = _said(words, asked, most=len(questions))
    if len(lines) != len(questions):
        count = f"{len(lines)} lines" if len(lines) < len(questions) else "more lines than asked for"
        raise InvalidInput(f"`{words[0]}` wrote {count}, for {len(questions)} questions; it must write one each")
    found = {
        question.id: _decided(_fields(line), threshold, f"line {number} of `{words[0]}`")
        for number, (question, line) in enumerate(zip(questions, lines, strict=True), start=1)
    }
    return Candidate(Path(words[0]).name, lambda question: found.get(question.id))


def _said(words: Sequence[str], asked: str, most: int) -> list[str]:
    """The lines that a program writes, and one more than `most` at the most: then it is ended."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as complaints:
        given.write(asked.encode())
        given.seek(0)
        try:
            program = subprocess.Popen(words, stdin=given, stdout=subprocess.PIPE, stderr=complaints)
        except OSError as error:
            raise InvalidInput(f"`{words[0]}` cannot be run ({error.strerror}); give a program that is there") from None
        late = threading.Timer(_COMMAND_S, program.kill)
        late.start()
        try:
            assert program.stdout is not None
            lines = [line for _ in range(most + 1) if (line := program.stdout.readline(_LINE_BYTES))]
            if len(lines) > most:
                program.kill()
            status = program.wait()
        finally:
            is_late = not late.is_alive()
            late.cancel()
            program.kill()
            with program:
                pass
        if is_late:
            raise InvalidInput(f"`{words[0]}` did not end within {_COMMAND_S:g} s")
        if status and len(lines) <= most:
            complaints.seek(0)
            last = (complaints.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise InvalidInput(f"`{words[0]}` failed with {status}: {last}")
        return [line.decode(errors="replace") for line in lines]


def _fields(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {"mode": line.strip()}
    return said if isinstance(said, dict) else {"score": said} if isinstance(said, int | float) else {"mode": str(said)}


def _decided(row: dict[str, Any], threshold: float, where: str) -> str:
    """The mode that a row says, or the side that its score does: the cloud from the threshold on."""
    if mode := str(row.get("mode") or "").strip():
        try:
            parse(mode)
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {error.message}") from None
        return mode
    try:
        score = float(row.get("score", ""))
    except (TypeError, ValueError):
        score = math.nan
    if math.isnan(score):
        raise InvalidInput(f"{where}: it has neither a mode nor a number as its score")
    return _SIDES[score >= threshold]


def unique(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """InvalidInput if two have one name: their results could not be told apart."""
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        if candidate.name in found:
            raise InvalidInput(f"`{candidate.name}` is given twice; name each once")
        found[candidate.name] = candidate
    return tuple(found.values())
