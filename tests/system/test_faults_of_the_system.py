"""Faults that root has to make: a network that swallows packets, and a file system that is full. Invariants as ever."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edgewise.errors import NotReady
from router.egress.verify import verified
from tests.collectors import collecting
from tests.faults.invariants import Books
from tests.faults.stand import Misbehaving, Sinks, Stand, standing
from tests.routers import an_edge, until
from tests.sides import UNSURE

pytestmark = pytest.mark.system

_SPACE, _HERE, _NOBODY = "edgewise-faults", "10.213.7.1", "10.213.7.9"
_MODES = ("cloud_only", "post_arbitration", "cloud_info_edge_rag")


@pytest.fixture(scope="module")
def sinks() -> Iterator[Sinks]:
    with Misbehaving() as upstream, collecting() as collector:
        yield Sinks(upstream, collector)


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def black_hole() -> Iterator[str]:
    """An address behind which packets vanish: those for it go to a network namespace that does not know it."""
    run("ip", "netns", "add", _SPACE)
    try:
        run("ip", "link", "add", "ew-here", "type", "veth", "peer", "name", "ew-there", "netns", _SPACE)
        run("ip", "address", "add", f"{_HERE}/24", "dev", "ew-here")
        run("ip", "link", "set", "ew-here", "up")
        run("ip", "netns", "exec", _SPACE, "ip", "link", "set", "ew-there", "up")
        shown = run("ip", "netns", "exec", _SPACE, "cat", "/sys/class/net/ew-there/address")
        run("ip", "neigh", "add", _NOBODY, "lladdr", shown.strip(), "dev", "ew-here")
        yield _NOBODY
    finally:
        subprocess.run(["ip", "link", "delete", "ew-here"], check=False, capture_output=True)
        run("ip", "netns", "delete", _SPACE)


def test_a_gateway_whose_packets_vanish(tmp_path: Path, sinks: Sinks) -> None:
    """No refusal comes back, and nobody waits longer than `cloud.connect_timeout_s`."""

    async def main(address: str) -> None:
        opened = standing(tmp_path, sinks, an_edge(UNSURE), gateway_address=f"{address}:50052")
        async with opened as stand:
            books = Books(stand)
            for mode in _MODES:
                heard = await books.ask(books.public(mode))
                assert heard.done is not None
                assert (heard.done.author, heard.done.degraded, heard.done.cost_usd) == ("edge", True, 0)
                assert "cannot be reached" in heard.done.reason
                await books.ask_privately(mode)
        books.check_sinks()

    with black_hole() as address:
        asyncio.run(main(address))


@contextmanager
def small_disk(place: Path, megabytes: int = 32) -> Iterator[Path]:
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place))
    try:
        yield place
    finally:
        run("umount", str(place))


def test_a_file_system_that_is_full(tmp_path: Path, sinks: Sinks) -> None:
    """Nothing leaves and nothing is answered without a record; with room again all is as before, and no row is torn."""

    async def well(books: Books) -> None:
        for mode in _MODES:
            heard = await books.ask(books.public(mode))
            assert heard.done is not None
            assert not heard.done.degraded
            await books.ask_privately(mode)

    async def full(stand: Stand, books: Books) -> None:
        for mode in _MODES:
            with pytest.raises(NotReady, match="nor can it wait on disk"):
                await stand.client.answer(books.public(mode))
        # A row may still fit into the last page of its file.
        assert stand.book.unnoted == 0
        assert stand.book.arrived <= stand.book.noted

    async def main(place: Path) -> None:
        async with standing(place, sinks, an_edge(UNSURE)) as stand:
            books = Books(stand)
            await well(books)
            filler = place / "filler"
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(b"\0" * 4096):
                    pass
            await full(stand, books)
            filler.unlink()
            await until(lambda: not stand.router.backlog.count)
            await books.unknown_records()
            await well(books)
        books.check_sinks()

    with small_disk(tmp_path / "disk") as place:
        asyncio.run(main(place))
        shutil.copytree(place, tmp_path / "kept")
    assert verified(tmp_path / "kept").intact
