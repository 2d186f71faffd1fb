"""For every test: no network but this machine's own, and no example that has to be quick."""

import ipaddress
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.upstream import Upstream


class NetworkUsed(RuntimeError):
    """Not an OSError, which code under test would take for a server that is down."""


def pytest_configure() -> None:
    # Sees every Python socket, asyncio's and those of libraries too. gRPC's own sockets are beyond it.
    sys.addaudithook(_guard)
    settings.register_profile("here", deadline=None)
    settings.load_profile("here")


def pytest_unconfigure() -> None:
    if natives := sys.modules.get("llama_cpp._utils"):
        natives.outnull_file.close()  # which it leaves to the end of the process, where that is a warning
        natives.errnull_file.close()


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a Unix socket's address is a path
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode()
    if isinstance(host, str) and not _is_here(host):
        raise NetworkUsed(f"a test wanted to reach {host}; tests use this machine only")


def _is_here(host: str) -> bool:
    if host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    """A server that speaks OpenAI's chat completions, and has not been asked anything yet."""
    server.reset()
    return server
