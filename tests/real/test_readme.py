"""Every command in a `sh` block of the README runs, in its order, in a directory of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTES = "The choir rehearses on Tuesday at seven.\n"
"""What a small model repeats, however its processor rounds."""
QUESTION = {"id": "choir", "question": "When does the choir rehearse?", "answers": ["Tuesday"]}


def commands() -> Iterator[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL):
        yield from (line.split("  #")[0].strip() for line in block.splitlines() if line.strip())


@pytest.mark.timeout(300)
def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "choir.md").write_text(NOTES, encoding="utf-8")
    (tmp_path / "questions.jsonl").write_text(json.dumps(QUESTION) + "\n", encoding="utf-8")
    environment = {**os.environ, "EDGEWISE_DATA_DIR": str(tmp_path / "data"), "EDGEWISE_CONFIG": str(tmp_path / "none")}
    daemon: subprocess.Popen[str] | None = None
    found = list(commands())
    assert len(found) >= 8
    for command in found:
        name, *arguments = shlex.split(command)
        assert name == "edgewise", command
        line = [sys.executable, "-m", "router", *arguments]
        if arguments[0] == "up":
            line += ["--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"]
            daemon = subprocess.Popen(line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
            assert daemon.stdout is not None
            assert daemon.stdout.readline().startswith("ready grpc=")
            continue
        ran = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, (command, ran.stderr)
        if "choir" in command:
            assert "Tuesday" in ran.stdout
    assert daemon is not None
    assert daemon.wait(60) == 0
    assert daemon.stdout is not None
    daemon.stdout.close()
