"""`edgewise ingest` on folders: awkward ones, and ones that change. The command, the daemon and the edge are real."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path

import pytest

from edge.client import EdgeClient
from edgewise.client import Client
from edgewise.types import Document, Findings, Ingested, Passage, Privacy, Query, Text, Upload
from router.cli.documents import ingest_paths
from tests import awkward
from tests.stack import EDGEWISE, Daemon, edgewise, environment, up

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with up(tmp_path_factory.mktemp("ingest") / "data") as running:
        yield running


def ingested(daemon: Daemon, *arguments: str | Path, collection: str) -> dict[str, tuple[str, str]]:
    """By name: what became of each file, and why."""
    done = edgewise("ingest", *arguments, "--collection", collection, "--json", data_dir=daemon.data_dir)
    results = json.loads(done.stdout)
    assert done.returncode == any(result["status"] == "FAILED" for result in results), done.stderr
    return {Path(result["source"]).name: (result["status"], result["reason"]) for result in results}


def documents(daemon: Daemon, collection: str) -> tuple[Document, ...]:
    async def main() -> tuple[Document, ...]:
        async with daemon.client() as client:
            return await client.documents(collection)

    return asyncio.run(main())


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had. Linux only."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


# --- awkward ones -----------------------------------------------------------------------------------------------------


_MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_awkward_folder(daemon: Daemon, tmp_path: Path) -> None:
    root = tmp_path / "awkward"
    root.mkdir()
    refused = awkward.make(root)
    assert len(refused) >= 40
    edgewise("ingest", root / "plain.txt", "--collection", "warm-up", data_dir=daemon.data_dir)
    before, started = peak_bytes(daemon.edge_pid), time.monotonic()
    command = [EDGEWISE, "ingest", str(root), "--json", "--collection", "awkward"]
    settings = environment({"EDGEWISE_DATA_DIR": str(daemon.data_dir)})
    # A process counts as its own what the one had that started it, so a small one does.
    done = subprocess.run([sys.executable, "-c", _MEASURED, *command], env=settings, capture_output=True, check=False)
    results = {result["source"].removeprefix(f"{root}/"): result for result in json.loads(done.stdout)}
    most = int(done.stderr.split()[-1]) * 1024
    assert done.returncode == 1
    assert time.monotonic() - started < 60
    assert most < 300 * MIB, "the files are never all in memory, and the largest not at all"
    assert peak_bytes(daemon.edge_pid) - before < 400 * MIB

    for name, reason in refused.items():
        result = results.pop(name)
        assert (result["status"], result["passages"]) == ("FAILED", 0), name
        assert reason in result["reason"], name
    for name, (sentence, _) in awkward.GOOD.items():
        assert results.pop(name)["status"] == "INGESTED", name
        assert sentence in found(daemon, sentence, "awkward").text.value.replace("\n", " ")
    assert results.pop("inside.txt")["status"] == "INGESTED"
    assert results.pop("photo.png") == {
        "source": f"{root}/photo.png", "status": "SKIPPED", "passages": 0, "reason": "no loader for .png",
        "total": 0, "dropped": 0,
    }  # fmt: skip
    assert results == {}


def found(daemon: Daemon, sentence: str, collection: str) -> Passage:
    """What the edge finds first."""

    async def main() -> Findings:
        edge = EdgeClient(f"unix:{socket_of(daemon)}")
        try:
            return await edge.retrieve(Query(text=Text(value=sentence), k=1, collections=(collection,)))
        finally:
            await edge.close()

    (passage,) = asyncio.run(main()).passages
    return passage


def socket_of(daemon: Daemon) -> str:
    return str(json.loads((daemon.data_dir / "daemon.json").read_text())["socket"])


# --- ones that change -------------------------------------------------------------------------------------------------


def test_what_is_gone_is_forgotten_and_nothing_else(daemon: Daemon, tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "notes", tmp_path / "elsewhere.md"
    (root / "sub").mkdir(parents=True)
    for path in (root / "a.md", root / "b.md", root / "sub" / "c.md", elsewhere):
        path.write_text(f"This is {path.name} of the choir.")
    assert set(ingested(daemon, root, elsewhere, collection="sync").values()) == {("INGESTED", "")}
    ingested(daemon, root / "a.md", collection="other")
    for path in (root / "a.md", elsewhere):
        path.unlink()
    (root / "b.md").write_text("This is b.md, rewritten.")
    assert ingested(daemon, root, collection="sync") == {"b.md": ("INGESTED", ""), "c.md": ("UNCHANGED", "")}
    assert len(documents(daemon, "sync")) == 4

    done = edgewise("ingest", root, "--sync", "--collection", "sync", data_dir=daemon.data_dir)
    assert done.stdout == "0 ingested (0 passages), 2 unchanged, 1 deleted, 0 skipped, 0 failed\n"
    assert {Path(one.source).name for one in documents(daemon, "sync")} == {"b.md", "c.md", "elsewhere.md"}
    assert len(documents(daemon, "other")) == 1
    assert ingested(daemon, elsewhere, "--sync", collection="sync") == {"elsewhere.md": ("DELETED", "")}


def test_a_folder_that_is_not_there_forgets_nothing(daemon: Daemon, tmp_path: Path) -> None:
    root = tmp_path / "drive"
    (root / "sub").mkdir(parents=True)
    for name in ("a.md", "sub/b.md"):
        (root / name).write_text(f"On the drive: {name}.")
    ingested(daemon, root, collection="drive")
    root.rename(tmp_path / "unplugged")
    status, reason = ingested(daemon, root, "--sync", collection="drive")["drive"]
    assert status == "FAILED"
    assert reason == "is not there; correct the path; what was ingested from below it (2) stays"
    assert len(documents(daemon, "drive")) == 2
    # A directory that cannot be looked into is the same.
    (tmp_path / "unplugged").rename(root)
    (root / "sub" / "b.md").unlink()
    (root / "sub").rmdir()
    (root / "sub").symlink_to(tmp_path)
    assert "leads out" in ingested(daemon, root, "--sync", collection="drive")["sub"][1]
    assert len(documents(daemon, "drive")) == 2


def test_what_became_bad_is_kept_as_it_was(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("The bell rings at noon.")
    ingested(daemon, path, collection="bad")
    path.write_bytes(b"\xff")
    assert ingested(daemon, path, "--sync", collection="bad")["a.md"][0] == "FAILED"
    assert len(documents(daemon, "bad")) == 1


class Watched(Client):
    """Remembers what it sends."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.sent: list[str] = []

    def ingest(self, uploads: Iterable[Upload]) -> AsyncGenerator[Ingested]:
        return super().ingest(self._seen(uploads))

    def _seen(self, uploads: Iterable[Upload]) -> Iterator[Upload]:
        for upload in uploads:
            self.sent.append(Path(upload.source).name)
            yield upload


def test_unchanged_files_are_not_sent_and_labels_are(daemon: Daemon, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"The bell of {name} rings at noon.")

    async def ingest(label: Privacy) -> tuple[list[str], list[str]]:
        async with Watched(f"unix:{socket_of(daemon)}") as client:
            results = await ingest_paths(client, [str(tmp_path)], "labels", label, sync=False)
        return client.sent, [result.status for result in results]

    assert asyncio.run(ingest(Privacy.PRIVATE)) == (["a.txt", "b.txt"], ["INGESTED", "INGESTED"])
    for label in (Privacy.PRIVATE, Privacy.UNKNOWN):
        assert asyncio.run(ingest(label)) == ([], ["UNCHANGED", "UNCHANGED"])
    (tmp_path / "b.txt").write_text("The bell is silent.")
    assert asyncio.run(ingest(Privacy.UNKNOWN)) == (["b.txt"], ["UNCHANGED", "INGESTED"])
    assert asyncio.run(ingest(Privacy.PUBLIC)) == (["a.txt", "b.txt"], ["INGESTED", "INGESTED"])
    assert {one.label for one in documents(daemon, "labels")} == {Privacy.PUBLIC}
