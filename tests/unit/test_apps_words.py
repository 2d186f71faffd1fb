"""What `edgewise apps` and `edgewise forget` say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgewise.errors import Conflict, EdgewiseError, InvalidInput, NotFound
from edgewise.types import Forgotten
from router.cli import app
from router.cli.forget import in_words


def said(place: Path, *arguments: str) -> str:
    """On standard output; an error is raised."""
    done = CliRunner().invoke(app, [*arguments, "--data-dir", str(place)])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_a_token_is_printed_once_and_kept_nowhere(tmp_path: Path) -> None:
    token = said(tmp_path, "apps", "add", "camera", "--budget", "2.5", "--period", "day", "--rpm", "10").strip()
    said(tmp_path, "apps", "add", "lamp", "--collection", "notes", "--collection", "lamp")
    words = said(tmp_path, "apps", "list")
    assert token not in words
    assert all(token.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert "camera  uses app-camera" in words
    assert "of $2.5 a day" in words
    camera, lamp = json.loads(said(tmp_path, "apps", "list", "--json"))
    assert (camera["name"], camera["budget_usd"], camera["spent_usd"]) == ("camera", 2.5, 0)
    assert lamp["collections"] == ["lamp", "notes"]
    assert (tmp_path / "apps.db").stat().st_mode & 0o077 == 0


def test_a_name_is_given_once(tmp_path: Path) -> None:
    assert "no apps yet" in said(tmp_path, "apps", "list")
    with pytest.raises(NotFound):
        said(tmp_path, "apps", "revoke", "camera")
    said(tmp_path, "apps", "add", "camera")
    assert "revoked camera" in said(tmp_path, "apps", "revoke", "camera")
    with pytest.raises(NotFound):
        said(tmp_path, "apps", "revoke", "camera")
    with pytest.raises(Conflict):
        said(tmp_path, "apps", "add", "camera")
    assert "revoked 20" in said(tmp_path, "apps", "list")


@pytest.mark.parametrize(
    "arguments",
    [
        ("http",), ("owner",), ("a b",), ("../x",), ("x", "--collection", "cloud-info"),
        ("x", "--collection", " "), ("x", "--collection", "cloud-info-camera"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_app_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput):
        said(tmp_path, "apps", "add", *arguments)
    assert not (tmp_path / "apps.db").exists()


def test_a_limit_that_is_none_is_refused_by_the_name_of_its_option(tmp_path: Path) -> None:
    for option, value in (("--rpm", "0"), ("--per-day", "0"), ("--budget", "-1"), ("--budget", "nan")):
        done = CliRunner().invoke(app, ["apps", "add", "x", option, value, "--data-dir", str(tmp_path)])
        assert (done.exit_code, option in done.output) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_much_is_not_forgotten_without_a_yes(tmp_path: Path) -> None:
    for wanted in (("--app", "camera"), ("--user", "u"), ("--before", "2026-01-01")):
        done = CliRunner().invoke(app, ["forget", *wanted, "--data-dir", str(tmp_path)], input="n\n")
        assert done.exit_code == 1
        assert not isinstance(done.exception, EdgewiseError)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidInput):
        said(tmp_path, "forget")


def test_what_is_gone_is_told_in_numbers() -> None:
    assert in_words(Forgotten()) == "nothing of it is here"
    assert in_words(Forgotten(records=1, cloud_info=2)) == "forgotten: 1 record, 2 pieces of cloud information"
    assert in_words(Forgotten(documents=1, redacted=1)) == "forgotten: 1 document, what 1 other record repeated"
