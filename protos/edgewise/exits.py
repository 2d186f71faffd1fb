"""How a command ends: 0 ok, 1 failure, 2 usage, 130 interrupt; and how a server says that it has begun."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from typing import TypeVar

from edgewise.errors import EdgewiseError, InvalidInput

T = TypeVar("T")
# So many new containers before the collector looks: what a request leaves behind goes without it.
_GARBAGE = 10_000


def run(work: Coroutine[object, object, T]) -> T:
    """Runs a command's coroutine; Ctrl-C ends the process with 130, after the coroutine has cleaned up."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(130)


def ready(**places: str) -> None:
    """Prints `ready NAME=PLACE ...`, without empty places. What is loaded by now stays: it is no garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE, 10, 10)
    print("ready", *(f"{name}={place}" for name, place in places.items() if place), flush=True)  # noqa: T201 - for whoever started us


def main(command_line: Callable[[], object]) -> None:
    """Runs a command line; an EdgewiseError is its message, in one line, and an exit code."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # gRPC tells of each handshake that fails; we tell why, once
    try:
        try:
            command_line()
        finally:
            sys.stdout.flush()
    except EdgewiseError as error:
        print("error: " + error.message.replace(":\n", ": ").replace("\n", "; "), file=sys.stderr)  # noqa: T201 - for whoever called us
        sys.exit(2 if isinstance(error, InvalidInput) else 1)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what it still holds is tried again at the end
        print("error: the output cannot be written, its disk is full; make room, or send it elsewhere", file=sys.stderr)  # noqa: T201 - as above
        sys.exit(1)
