"""`doctor`: what is wrong or slow here, and what to do about it."""

from __future__ import annotations

import json
import shutil
import stat
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.local import AsJson, DataDir, data_directory, running_daemon

if TYPE_CHECKING:
    from edge.doctor import Finding

_COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}
_INDENT = 17
_LEAST_FREE_BYTES = 500_000_000


def doctor(
    as_json: AsJson = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure the speed of the model again: half a minute, best when idle.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Look at everything that can be wrong or slow, and say what to do. Exit code 1 if something does not work."""
    found = []
    for finding in _findings(data_dir, calibrate=calibrate):
        found.append(finding)
        if not as_json:
            _show(finding)
    failed = any(finding.level == "fail" for finding in found)
    if as_json:
        rows = [
            {
                "level": finding.level,
                "subject": finding.subject,
                "text": finding.text,
                "advice": finding.advice,
                "figures": dict(finding.figures),
            }
            for finding in found
        ]
        print(json.dumps({"ok": not failed, "findings": rows}, indent=1))
    if failed:
        raise typer.Exit(1)


def _findings(data_dir: Path | None, *, calibrate: bool) -> Iterator[Finding]:
    from edge import doctor as edge
    from edgewise import settings
    from edgewise.errors import EdgewiseError
    from router.wiring import Settings

    yield _versions()
    file = settings.config_file()
    try:
        chosen, directory = Settings.load(), data_directory(data_dir)
    except EdgewiseError as error:
        yield edge.Finding("fail", "settings", error.message, f"correct {file} or the environment")
        return
    yield edge.Finding("ok", "settings", f"{file}{'' if file.exists() else ' is not there: all defaults'}")
    yield from _data(directory)
    cloud = chosen.cloud.address or chosen.cloud.base_url or chosen.cloud.backend
    yield edge.Finding("ok", "cloud", str(cloud) if cloud else "none is configured: the edge answers everything")
    yield from edge.findings(chosen.edge, calibrate=calibrate, progress=_progress)


def _versions() -> Finding:
    import platform
    from importlib import metadata

    from edge.doctor import Finding

    python = f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    return Finding("ok", "edgewise", f"{metadata.version('edgewise')}, {python}")


def _data(directory: Path) -> Iterator[Finding]:
    from edge.doctor import Finding

    if not directory.exists():
        yield Finding("ok", "data", f"{directory} is not there yet; `edgewise up` makes it")
        return
    status = directory.stat()
    free = shutil.disk_usage(directory).free
    where = f"{directory}, {free / 1e9:.1f} GB free"
    if stat.S_IMODE(status.st_mode) & 0o077:
        yield Finding("warn", "data", f"{where}; others on this machine may look into it", f"chmod 700 {directory}")
    elif free < _LEAST_FREE_BYTES:
        yield Finding("warn", "data", where, "make room before records can no longer be written")
    else:
        yield Finding("ok", "data", where)
    token = directory / "token"
    if token.exists() and stat.S_IMODE(token.stat().st_mode) & 0o077:
        advice = f"delete {token} and start again: others may have read it"
        yield Finding("fail", "token", f"{token} can be read by others", advice)
    daemon = running_daemon(directory)
    if daemon:
        yield Finding("ok", "daemon", f"process {daemon.pid} since {daemon.started_at}, {daemon.grpc}, {daemon.http}")
    else:
        yield Finding("ok", "daemon", "none runs; start one with `edgewise up`")


def _show(finding: Finding) -> None:
    """A paragraph with a hanging indent, as wide as the terminal."""
    width = min(shutil.get_terminal_size().columns, 120) - _INDENT
    lines = textwrap.wrap(finding.text, width, break_on_hyphens=False)
    lines += [f"-> {line}" if not number else f"   {line}" for number, line in enumerate(
        textwrap.wrap(finding.advice, width - 3, break_on_hyphens=False)
    )]  # fmt: skip
    typer.echo(typer.style(f"{finding.level:5}", fg=_COLOURS[finding.level]) + f"{finding.subject:12}" + lines[0])
    for line in lines[1:]:
        typer.echo(" " * _INDENT + line)


def _progress(rounds: int) -> None:
    """On a terminal the line is written over by the finding that follows."""
    if sys.stderr.isatty():
        print(f"\rmeasuring the speed of the model, round {rounds} of 9\r", end="", file=sys.stderr, flush=True)
