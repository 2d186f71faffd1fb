"""One process owns a data directory, and its token is its owner's alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgewise.errors import Conflict, NotReady
from router.owner import Ownership, token_of


def test_a_second_owner_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with Ownership(tmp_path), pytest.raises(Conflict, match="edgewise stop") as caught:
        Ownership(tmp_path)
    assert str(tmp_path) in caught.value.message
    with Ownership(tmp_path):
        pass


def test_a_killed_owner_leaves_nothing_behind(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, router.owner as o; o.Ownership(pathlib.Path(sys.argv[1])); print('mine', flush=True)"
    )
    command = [sys.executable, "-c", f"{program}; sys.stdin.read()", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(Conflict):
            Ownership(tmp_path)
        other.kill()
    with Ownership(tmp_path):
        pass


def test_a_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with Ownership(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


def test_what_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotReady, match="directory that you may write"):
        Ownership(tmp_path / "file")


def test_a_token_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    token = token_of(tmp_path)
    assert len(token) >= 32
    assert token_of(tmp_path) == token
    assert (tmp_path / "token").stat().st_mode & 0o077 == 0


def test_two_directories_have_two_tokens(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert token_of(tmp_path) != token_of(tmp_path / "other")


def test_an_empty_token_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(NotReady, match="delete it"):
        token_of(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_token_that_others_may_read_lets_nobody_in(tmp_path: Path, mode: int) -> None:
    token = token_of(tmp_path)
    (tmp_path / "token").chmod(mode)
    with pytest.raises(NotReady, match="delete it") as caught:
        token_of(tmp_path)
    assert token not in caught.value.message
    (tmp_path / "token").chmod(0o600)
    assert token_of(tmp_path) == token
