"""`python -m cloud serve` as a process: its one line, its exit codes, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SERVE = (sys.executable, "-m", "cloud", "serve", "--backend", "openai_compatible", "--address")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "EDGEWISE_CONFIG": str(tmp_path / "edgewise.toml"),
        "EDGEWISE_DATA_DIR": str(tmp_path),
        "EDGEWISE_CLOUD__BASE_URL": "http://127.0.0.1:9/v1",
        "EDGEWISE_CLOUD__MODEL": "m",
    }


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (None, 0)])
def test_it_says_ready_once_and_ends_when_told(
    how: signal.Signals | None, code: int, environment: dict[str, str]
) -> None:
    process = start(environment, *SERVE, "127.0.0.1:0", "--until-stdin-closes")
    line = ready_line(process)
    assert line.startswith("ready grpc=127.0.0.1:")
    assert not line.strip().endswith(":0")
    if how is not None:
        process.send_signal(how)
        assert process.wait(20) == code
    rest, errors = process.communicate(timeout=20)  # closes standard input
    assert process.returncode == code
    assert rest == ""
    assert "Traceback" not in errors


def fail(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        arguments, capture_output=True, text=True, env=environment, timeout=60, check=False, stdin=subprocess.DEVNULL
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_taken_port_is_an_error(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = fail(environment, *SERVE, f"127.0.0.1:{taken.getsockname()[1]}")
    assert code == 1
    assert said.startswith("error: 127.0.0.1:")
    assert "is in use; stop what listens there" in said


def test_an_open_address_wants_a_token(environment: dict[str, str]) -> None:
    code, said = fail(environment, *SERVE, "0.0.0.0:0")
    assert code == 1
    assert "give --token-file" in said


def test_a_bad_setting_is_an_error(environment: dict[str, str]) -> None:
    code, said = fail({**environment, "EDGEWISE_CLOUD__TIMEOUT_S": "soon"}, *SERVE, "127.0.0.1:0")
    assert code == 2
    assert said.startswith("error: cloud.timeout_s")


def test_wrong_usage_has_its_own_code(environment: dict[str, str]) -> None:
    code, said = fail(environment, *SERVE, "127.0.0.1:0", "--colour", "blue")
    assert code == 2
    assert "--colour" in said
