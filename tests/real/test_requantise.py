from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge import models
from edge.llama.machine.probe import probe
from edge.llama.requantise import requantise
from edge.models.entries import Requantised, directory_of
from edge.models_cli import models_app
from edgewise.errors import Conflict, InvalidInput, NotReady
from tests import ggufs

NAME = models.SMOLLM2.name


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEWISE_CONFIG", str(tmp_path / "edgewise.toml"))
    directory_of(NAME).mkdir(parents=True)
    models.SMOLLM2.path.symlink_to(gguf)


def test_another_weight_type_stands_beside_the_original(gguf: Path) -> None:
    before = gguf.stat()
    written: list[int] = []
    model = requantise(NAME, "q4_0", written.append)
    assert model == models.find(f"{NAME}-to-q4_0")
    assert model.source == Requantised(NAME, models.SMOLLM2.files[0].sha256 or "", "q4_0")
    assert model.trust == "made_here"
    assert model.licence == models.SMOLLM2.licence
    assert models.locate(model.name) == model.path
    models.verify(model.name)
    assert "Q4_0" in probe(model.path).description
    assert written == sorted(written)
    assert gguf.stat() == before
    with pytest.raises(Conflict, match="was made already"):
        requantise(NAME, "q4_0", written.append)
    model.path.unlink()
    with pytest.raises(NotReady, match=f"run `edgewise models requantise {NAME} --to q4_0`"):
        models.locate(model.name)


def test_a_file_that_is_none_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "Broken.gguf"
    for content, words in ((b"GGUF and nothing else", "damaged"), (ggufs.EMPTY, "cannot make q8_0 of")):
        path.write_bytes(content)
        with pytest.raises(NotReady, match=words):
            requantise(str(path), "q8_0", lambda _: None)
    assert list(directory_of("broken-to-q8_0").iterdir()) == []
    with pytest.raises(InvalidInput, match="there are q8_0"):
        requantise(NAME, "q4_7", lambda _: None)


def test_nobody_requantises_by_accident() -> None:
    result = CliRunner().invoke(models_app, ["requantise", NAME, "--to", "q8_0"])
    assert isinstance(result.exception, InvalidInput)
    assert "worse answers" in result.stderr
    assert not directory_of(f"{NAME}-to-q8_0").exists()
