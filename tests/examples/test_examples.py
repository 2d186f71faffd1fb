"""The examples are run as users run them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import ABOUT_WORKSHOP, Daemon, environment, informed

MODES = (
    "edge_only", "cloud_only", "pre_arbitration", "post_arbitration", "post_arbitration+cascade",
    "cloud_info_edge_rag", "agent", "auto",
)  # fmt: skip


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with informed(tmp_path_factory.mktemp("examples") / "data") as started:
        yield started


def run(example: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = Path(__file__).with_name(example)
    return subprocess.run(
        [sys.executable, str(path), *arguments],
        env=environment(variables), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def test_ask(daemon: Daemon) -> None:
    done = run("ask.py", ABOUT_WORKSHOP, "cloud_info_edge_rag", EDGEWISE_DATA_DIR=str(daemon.data_dir))
    assert done.returncode == 0, done.stderr
    *answer, source, ending = done.stdout.splitlines()
    assert answer
    assert "workshop.md" in source
    assert ending.startswith("cloud_info_edge_rag, edge, GROUNDED, ")


def test_ask_says_what_is_wrong(daemon: Daemon, tmp_path: Path) -> None:
    done = run("ask.py", "x", "best", EDGEWISE_DATA_DIR=str(daemon.data_dir))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("InvalidInput: there is no mode `best`")
    done = run("ask.py", "x", EDGEWISE_DATA_DIR=str(tmp_path))
    assert "start one with `edgewise up`" in done.stderr


def test_openai_client_in_every_mode(daemon: Daemon) -> None:
    here = {"OPENAI_BASE_URL": f"{daemon.http}/v1", "OPENAI_API_KEY": daemon.token}
    done = run("openai_client.py", ABOUT_WORKSHOP, *MODES, **here)
    assert done.returncode == 0, done.stderr
    endings = [line for line in done.stdout.splitlines() if line.endswith(" tokens")]
    modes, authors = zip(*(ending.split(", ")[:2] for ending in endings), strict=True)
    assert modes[:-1] == MODES[:-1]
    assert set(authors) <= {"edge", "cloud"}
    refused = run("openai_client.py", "x", "best", **here)
    assert refused.returncode == 1
    assert "there is no mode `best`" in refused.stderr
