"""The guard of `tests/conftest.py` keeps a test from leaving this machine."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

ELSEWHERE = "192.0.2.1"  # a documentation address of RFC 5737: nobody is there
REFUSED = "this machine only"


def test_nothing_elsewhere_can_be_reached() -> None:
    with pytest.raises(RuntimeError, match=REFUSED):
        socket.create_connection((ELSEWHERE, 80), timeout=1)
    with pytest.raises(RuntimeError, match=REFUSED):
        socket.getaddrinfo("example.com", 80)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, pytest.raises(RuntimeError, match=REFUSED):
        sender.sendto(b"", (ELSEWHERE, 53))
    with pytest.raises(RuntimeError, match=REFUSED):
        asyncio.run(asyncio.open_connection(ELSEWHERE, 80))


def test_this_machine_can(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()[:2], timeout=5).close()
    assert socket.getaddrinfo("localhost", 80)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as caller:
        server.bind(str(tmp_path / "s"))
        server.listen()
        caller.connect(str(tmp_path / "s"))
