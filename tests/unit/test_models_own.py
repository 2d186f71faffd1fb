import os
from pathlib import Path

import pytest

from edge import models
from edge.models import digests
from edge.models.entries import HuggingFace, LocalFile, directory_of
from edgewise.errors import InvalidInput, NotReady
from tests import ggufs

SHA256 = "a" * 64


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`models.toml`, beside a configuration that is not there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEWISE_CONFIG", str(tmp_path / "edgewise.toml"))
    return tmp_path / "models.toml"


def test_a_described_model_is_in_the_catalogue(described: Path) -> None:
    described.write_text(
        f"""
        [big]
        source = "hf:them/big-GGUF/sub/big.gguf@v2"
        sha256 = "{SHA256}"
        licence = "MIT"
        label = "Big"
        parameters = 4e9
        context_tokens = 32768
        chat_template = "ChatML"

        [mine]
        source = "file:{described.parent}/mine.gguf"
        """
    )
    big, mine = models.find("big"), models.find("mine")
    assert big.source == HuggingFace("them/big-GGUF", "sub/big.gguf", "v2")
    assert (big.label, big.licence, big.parameters, big.context_tokens) == ("Big", "MIT", 4e9, 32768)
    assert (big.trust, big.files[0].sha256, big.path.name) == ("given", SHA256, "big.gguf")
    assert mine.source == LocalFile(described.parent / "mine.gguf")
    assert (mine.licence, mine.context_tokens, mine.present) == (None, None, False)
    with pytest.raises(NotReady, match="run `edgewise models pull big`"):
        models.locate("big")
    with pytest.raises(NotReady, match=r"mine\.gguf is missing"):
        models.ensure("mine")


def test_a_file_of_the_user_is_used_where_it_is(described: Path) -> None:
    path = described.parent / "mine.gguf"
    described.write_text(f'[mine]\nsource = "file:{path}"\n')
    path.write_bytes(ggufs.EMPTY + b"and so on")
    assert models.locate("mine") == models.ensure("mine") == path
    models.check_hash(path, "anything")
    with pytest.raises(NotReady, match=f"no hash.*{models.sha256(path)}"):
        models.verify("mine")
    described.write_text(f'[mine]\nsource = "file:{path}"\nsha256 = "{SHA256}"\n')
    with pytest.raises(NotReady, match="is corrupt"):
        models.verify("mine")
    described.write_text(f'[mine]\nsource = "file:{path}"\nsha256 = "{models.sha256(path)}"\n')
    models.verify("mine")
    path.write_bytes(b"PK")
    with pytest.raises(NotReady, match="not a GGUF"):
        models.locate("mine")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("source = 1", r"models\.toml: source"),
        ("[a]\n", r"a\.source: Field required"),
        ('[a]\nsource = "hf:a/b/c.gguf"\nlicense = "MIT"', r"a\.license is not known; a model has source"),
        ('[a]\nsource = "hf:a/b/c.gguf"\nsha256 = "abc"', r"a\.sha256"),
        ('[a]\nsource = "hf:a/b/c.gguf"\ncontext_tokens = 0', r"a\.context_tokens"),
        ('[a]\nsource = "https://a/b.gguf"', "not the source of a model"),
        (f'[{models.MINILM.name}]\nsource = "hf:a/b/c.gguf"', "knows already"),
        ('["A b"]\nsource = "hf:a/b/c.gguf"', "cannot name a model"),
        ("[a", "cannot be read"),
    ],
)
def test_a_mistake_is_named(described: Path, text: str, words: str) -> None:
    described.write_text(text)
    with pytest.raises(InvalidInput, match=words):
        models.catalogue()


def test_a_damaged_record_is_named(described: Path) -> None:
    record = directory_of("tiny") / "model.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"source": ')
    with pytest.raises(NotReady, match="is damaged; delete the directory"):
        models.catalogue()


def test_a_digest_is_computed_again_when_the_file_changed(described: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = described.parent / "file"
    path.write_bytes(b"one")
    first = models.digest(path)
    assert first == models.sha256(path)
    kept = described.parent / "cache" / "edgewise" / "digests"
    assert not kept.exists()  # it may still be being written

    monkeypatch.setattr(digests, "_RACY_NS", -(10**12))
    models.digest(path)
    read: list[Path] = []

    def reading(path: Path) -> str:
        read.append(path)
        return models.sha256(path)

    monkeypatch.setattr(digests, "sha256", reading)
    assert models.digest(path) == first
    assert read == []
    status = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert models.digest(path) == models.sha256(path) != first
    assert len(read) == 1
    next(kept.iterdir()).write_text("nonsense")
    assert models.digest(path) == models.sha256(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        models.digest(path)


def test_nothing_is_remembered_of_a_file_that_is_gone(described: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_RACY_NS", -(10**12))
    kept = described.parent / "cache" / "edgewise" / "digests"
    gone, here = described.with_name("gone.gguf"), described.with_name("here.gguf")
    for path in (gone, here):
        path.write_bytes(path.name.encode())
    models.digest(gone)
    gone.unlink()
    models.digest(here)
    assert len(list(kept.iterdir())) == 1
    assert str(here) in next(kept.iterdir()).read_text()
