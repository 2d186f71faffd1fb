"""`python -m cloud serve` as a process: its one line, its exit codes, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.keys_cli import keys_app
from cloud.metrics import Metrics, metrics_page
from edgewise.errors import Conflict, EdgewiseError, InvalidInput, NotFound, NotReady

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


def test_an_open_address_wants_a_key_and_tls(environment: dict[str, str]) -> None:
    keys(environment, "add", "zoe")
    code, said = fail(environment, *SERVE, "0.0.0.0:0")
    assert code == 1
    assert "cloud.tls_cert_file" in said
    process = start(environment, *SERVE, "0.0.0.0:0", "--plaintext", "--until-stdin-closes")
    assert ready_line(process).startswith("ready grpc=0.0.0.0:")
    process.communicate(timeout=20)


# --- keys -------------------------------------------------------------------------------------------------------------


def keys(environment: dict[str, str], *arguments: str) -> str:
    done = CliRunner(env=environment).invoke(keys_app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_keys_are_made_listed_and_revoked(environment: dict[str, str]) -> None:
    assert "no keys yet" in keys(environment, "list")
    assert keys(environment, "list", "--json").strip() == "[]"
    limits = ("--rpm", "60", "--per-day", "1000", "--tokens-per-day", "5000", "--budget", "2.5", "--period", "day")
    token = keys(environment, "add", "zoe", *limits, "--model", "small", "--model", "large").strip()
    other = keys(environment, "add", "free").strip()
    assert token.startswith("ew_")
    listed = keys(environment, "list")
    assert "zoe: made" in listed
    assert "$0.0000 of $2.50 spent" in listed
    assert "60 calls a minute, 1000 calls a day, 5000 tokens a day, models large, small" in listed
    renewed = keys(environment, "rotate", "zoe").strip()
    assert "revoked free" in keys(environment, "revoke", "free")
    found = json.loads(keys(environment, "list", "--json"))
    assert [(row["name"], row["models"], row["revoked_at"] is None) for row in found] == [
        ("zoe", ["large", "small"], True),
        ("free", None, False),
    ]
    assert found[0] | {"budget_usd": 2.5, "period": "day", "spent_usd": 0, "last_used_at": None} == found[0]
    for said in (listed, json.dumps(found)):
        assert not any(secret in said for secret in (token, other, renewed))


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("add", "a b"), InvalidInput, "letters, digits"),
        (("add", "taken"), Conflict, "choose another name"),
        (("revoke", "nobody"), NotFound, "there is no `nobody`"),
        (("rotate", "nobody"), NotFound, "there is no `nobody`"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: tuple[str, ...], error: type[EdgewiseError], said: str, environment: dict[str, str]
) -> None:
    keys(environment, "add", "taken")
    with pytest.raises(error, match=said):
        keys(environment, *arguments)


@pytest.mark.parametrize(
    ("option", "value"), [("--rpm", "0"), ("--per-day", "0"), ("--budget", "-1"), ("--budget", "nan")]
)
def test_a_limit_that_is_none_is_refused_by_the_name_of_its_option(
    option: str, value: str, environment: dict[str, str]
) -> None:
    done = CliRunner(env=environment).invoke(keys_app, ["add", "zoe", option, value])
    assert (done.exit_code, option in done.output) == (2, True)
    assert "no keys yet" in keys(environment, "list")


def test_metrics_are_for_this_machine(environment: dict[str, str]) -> None:
    for address, why in (("0.0.0.0:0", "loopback"), ("127.0.0.1:99999", "HOST:PORT")):
        with pytest.raises(NotReady, match=why), metrics_page(Metrics(), address):
            pass
    process = start(environment, *SERVE, "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--until-stdin-closes")
    page = ready_line(process).split(" metrics=")[1].strip()
    with urllib.request.urlopen(page) as answer:
        assert b"edgewise_gateway_calls_running 0.0" in answer.read()
    process.communicate(timeout=20)


def test_a_bad_setting_is_an_error(environment: dict[str, str]) -> None:
    code, said = fail({**environment, "EDGEWISE_CLOUD__TIMEOUT_S": "soon"}, *SERVE, "127.0.0.1:0")
    assert code == 2
    assert said.startswith("error: cloud.timeout_s")


def test_wrong_usage_has_its_own_code(environment: dict[str, str]) -> None:
    code, said = fail(environment, *SERVE, "127.0.0.1:0", "--colour", "blue")
    assert code == 2
    assert "--colour" in said
