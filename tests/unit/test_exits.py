"""How a command ends when its output cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "from edgewise import exits; exits.main(lambda: print('word ' * {words}))"


@pytest.mark.parametrize("words", [1, 100_000])
def test_a_full_disk_behind_the_output_is_said_in_one_line(words: int) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(words=words)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: the output cannot be written, its disk is full; make room, or send it elsewhere"
    ]


def test_grpc_speaks_of_errors_only_unless_it_is_told_to() -> None:
    show = "import os; from edgewise import exits; exits.main(lambda: print(os.environ['GRPC_VERBOSITY']))"
    for given, shown in (({}, "ERROR"), ({"GRPC_VERBOSITY": "DEBUG"}, "DEBUG")):
        apart = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
        assert subprocess.check_output([sys.executable, "-c", show], text=True, env={**apart, **given}).strip() == shown


def test_output_that_can_be_written_is_whole() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(words=100_000)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (len(done.stdout.split()), done.stderr) == (100_000, "")
