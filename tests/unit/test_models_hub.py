import errno
import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from edge import models
from edge.models import Model, hub
from edge.models.entries import directory_of
from edge.models_cli import models_app
from edgewise.errors import Conflict, InvalidInput, NotFound, NotReady
from tests import ggufs
from tests.hub import Hub, running

CONTENT = ggufs.EMPTY + os.urandom(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SOURCE = "hf:them/tiny-GGUF/tiny-q8.gguf@v1"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEWISE_CONFIG", str(tmp_path / "edgewise.toml"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(hub, "_BACKOFF_S", 0.0)
    with running(CONTENT) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served


def pull(sha256: str | None = SHA256, **more: bool) -> Model:
    return models.fetch(models.add(SOURCE, sha256=sha256), lambda *_: None, **more)


def part_of(model: Model) -> Path:
    return model.path.with_name(model.path.name + ".part")


def test_a_file_of_a_repository_is_fetched_once_and_known_afterwards(server: Hub) -> None:
    seen: list[tuple[str, int, int]] = []
    model = models.fetch(models.add(SOURCE, sha256=SHA256), lambda *step: seen.append(step))
    assert model.path.read_bytes() == CONTENT
    assert server.seen[0][0] == "/them/tiny-GGUF/resolve/v1/tiny-q8.gguf"
    done = [done for stage, done, _ in seen if stage == "downloading"]
    assert done == sorted(done)
    assert done[-1] == len(CONTENT)
    assert models.locate("tiny-q8") == model.path
    assert models.of(model.path) == model == models.find("tiny-q8")
    assert (model.trust, model.files[0].sha256, model.files[0].bytes) == ("given", SHA256, len(CONTENT))
    models.verify("tiny-q8")
    requests = len(server.seen)
    assert pull() == model
    assert len(server.seen) == requests
    assert sorted(path.name for path in model.directory.iterdir()) == ["model.json", "tiny-q8.gguf"]
    assert json.loads((model.directory / "model.json").read_text())["commit"] == "c0ffee"


def test_a_hash_that_nobody_states_has_to_be_wanted_and_is_kept(server: Hub) -> None:
    with pytest.raises(NotReady, match="--trust-first"):
        pull(None)
    assert server.seen == []
    model = pull(None, trust_first=True)
    assert (model.trust, model.files[0].sha256) == ("first_use", SHA256)
    model.path.unlink()
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(NotReady, match=f"instead of {SHA256}"):
        pull(None, trust_first=True)
    server.content = CONTENT
    models.ensure("tiny-q8")
    model.path.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(NotReady, match=r"is corrupt.*edgewise models pull tiny-q8"):
        models.verify("tiny-q8")
    with pytest.raises(Conflict, match="another --name"):
        pull("0" * 64)
    with pytest.raises(Conflict, match="another --name"):
        models.add("hf:them/other/x.gguf", name="tiny-q8")


def test_another_hash_than_the_one_given_leaves_nothing(server: Hub) -> None:
    with pytest.raises(NotReady, match=f"SHA-256 {SHA256} instead of {'1' * 64}; it was thrown away"):
        pull("1" * 64)
    assert list((directory_of("tiny-q8")).iterdir()) == []
    with pytest.raises(NotFound):
        models.find("tiny-q8")


def test_a_transfer_that_the_hub_itself_would_not_vouch_for_is_refused(server: Hub) -> None:
    server.linked = {"X-Linked-ETag": f'"{"2" * 64}"'}
    with pytest.raises(NotReady, match=f"instead of {'2' * 64}"):
        pull(None, trust_first=True)


def test_a_page_instead_of_a_model_is_refused(server: Hub) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(NotReady, match="not a sound GGUF file"):
        pull(None, trust_first=True)


def test_a_dropped_connection_goes_on_where_it_stopped(server: Hub) -> None:
    server.drops = [1_000_000, 500_000, 10]
    assert pull().path.read_bytes() == CONTENT
    asked = server.ranges_asked
    assert asked[0] is None
    assert len(asked) == 4
    starts = [int(str(wanted).removeprefix("bytes=").removesuffix("-")) for wanted in asked[1:]]
    assert 0 < starts[0] <= starts[1] <= starts[2] < len(CONTENT)


def test_another_run_goes_on_where_the_last_one_gave_up(server: Hub) -> None:
    server.drops = [2_000_000, 0, 0, 0, 0, 0]
    with pytest.raises(NotReady, match="it goes on where it stopped"):
        pull()
    arrived = part_of(models.add(SOURCE)).stat().st_size
    assert arrived == 2_000_000
    server.drops = []
    assert pull().path.read_bytes() == CONTENT
    assert server.ranges_asked[-1] == f"bytes={arrived}-"


def test_what_arrived_in_full_is_not_fetched_again(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(models, "sha256", lambda _: exit_process())
        with pytest.raises(KeyboardInterrupt):
            pull()
    assert pull().path.read_bytes() == CONTENT
    assert server.ranges_asked[-1] == f"bytes={len(CONTENT)}-"


def exit_process() -> str:
    raise KeyboardInterrupt


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(server: Hub, heeds_if_range: bool) -> None:
    server.drops = [2_000_000, 0, 0, 0, 0, 0]
    with pytest.raises(NotReady):
        pull(None, trust_first=True)
    server.content, server.etag, server.drops = ggufs.EMPTY + b"another" * 400_000, '"two"', []
    server.heeds_if_range = heeds_if_range
    assert pull(None, trust_first=True).path.read_bytes() == server.content


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_nothing_is_continued(server: Hub, etag: str | None) -> None:
    server.etag, server.drops = etag, [1_000_000]
    assert pull().path.read_bytes() == CONTENT
    assert server.ranges_asked == [None, None]


def test_a_server_without_ranges_sends_all_again(server: Hub) -> None:
    server.ranges, server.drops = False, [1_000_000]
    assert pull().path.read_bytes() == CONTENT


@pytest.mark.parametrize("length", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_length_that_disagrees_with_the_hub_is_refused(server: Hub, length: int) -> None:
    server.length = length
    with pytest.raises(NotReady, match="another size than it should"):
        pull()


def test_a_body_shorter_than_its_length_is_an_interruption(server: Hub) -> None:
    server.linked, server.length, server.ranges = {}, len(CONTENT) + 7, False
    with pytest.raises(NotReady, match="could not be fetched"):
        pull()


def test_a_body_without_any_length_is_refused(server: Hub) -> None:
    server.linked, server.length = {}, -1
    with pytest.raises(NotReady, match="without a length"):
        pull()


@pytest.mark.parametrize(
    ("status", "headers", "error", "words"),
    [
        (404, {}, NotFound, "there is no tiny-q8.gguf at .*revision v1"),
        (401, {}, NotReady, "wants a token in HF_TOKEN"),
        (403, {}, NotReady, "accept terms"),
        (429, {"Retry-After": "3600"}, NotReady, "asks to wait 3600 s"),
        (410, {}, NotReady, "answered 410"),
    ],
)
def test_a_refusal_says_what_to_do(
    server: Hub, status: int, headers: dict[str, str], error: type[Exception], words: str
) -> None:
    server.statuses = [(status, headers)]
    with pytest.raises(error, match=words):
        pull()


def test_a_server_that_is_busy_is_asked_again(server: Hub) -> None:
    server.statuses = [(503, {}), (429, {"Retry-After": "0"}), (500, {})]
    assert pull().path.read_bytes() == CONTENT


def test_nobody_listens(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(NotReady, match=r"could not be fetched.*check the network"):
        pull()


def test_the_token_stays_with_its_host(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull()
    sent = {path.split("/")[1]: headers.get("authorization") for path, headers in server.seen}
    assert sent == {"them": "Bearer hf_secret", "storage": None}
    record = (directory_of("tiny-q8") / "model.json").read_text()
    assert "hf_secret" not in record


def test_the_token_travels_encrypted_or_not_at_all(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example")
    with pytest.raises(NotReady, match="unencrypted") as refused:
        pull()
    assert "hf_secret" not in refused.value.message
    monkeypatch.setenv("HF_TOKEN", "hf_sécret\n")
    with pytest.raises(InvalidInput, match="HF_TOKEN"):
        pull()


def test_a_full_disk_is_told_before_and_during(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
        with pytest.raises(NotReady, match="has 1 MB left, and 3 MB are to come"):
            pull()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(NotReady, match=r"cannot be stored.*No space left"):
            pull()
    assert pull().path.read_bytes() == CONTENT


def full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_two_processes_fetch_a_file_once(server: Hub) -> None:
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=pull) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0, 0]
    assert server.ranges_asked == [None]
    models.verify("tiny-q8")


@pytest.mark.parametrize(
    "source",
    [
        "", "tiny.gguf", "hf:them/tiny.gguf", "hf:them/tiny/readme.md", "hf:../../etc/passwd.gguf", "hf:a/b/../c.gguf",
        "hf:a/b/c.gguf@", "https://example.org/x.gguf", "hf:them/big/big-00001-of-00003.gguf", "file:relative.gguf",
    ],
)  # fmt: skip
def test_what_is_no_source_is_refused(server: Hub, source: str) -> None:
    with pytest.raises(InvalidInput):
        models.add(source)


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "x.gguf", models.SMOLLM2.name, "n" * 101])
def test_what_is_no_name_is_refused(server: Hub, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        models.add(SOURCE, name=name or " ")


def test_the_command_fetches_and_says_what_it_has(server: Hub) -> None:
    run = CliRunner().invoke
    refused = run(models_app, ["pull", SOURCE])
    assert isinstance(refused.exception, NotReady)
    pulled = run(models_app, ["pull", SOURCE, "--sha256", f"sha256:{SHA256.upper()}", "--name", "mine"])
    assert pulled.exit_code == 0
    assert "warning: llama.cpp cannot" in pulled.stderr or "damaged" in pulled.stderr
    assert 'model = "mine"' in pulled.stdout
    listed = run(models_app, ["list"]).stdout
    assert "mine: here; hash given by you" in listed
    assert SHA256 in listed
    (row,) = (row for row in json.loads(run(models_app, ["list", "--json"]).stdout) if row["name"] == "mine")
    assert (row["source"], row["trust"], row["bytes"], row["licence"]) == (SOURCE, "given", len(CONTENT), None)
    assert "mine is intact" in run(models_app, ["verify"]).stdout


@pytest.mark.parametrize(
    "arguments",
    [["--sha256", SHA256], ["tiny", "--name", "x"], [SOURCE, SOURCE, "--name", "x"], [SOURCE, "--sha256", "abc"]],
)
def test_the_command_refuses_what_makes_no_sense(server: Hub, arguments: list[str]) -> None:
    assert isinstance(CliRunner().invoke(models_app, ["pull", *arguments]).exception, InvalidInput)
    assert server.seen == []
