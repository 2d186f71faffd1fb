"""Addresses that a server listens on: HOST:PORT or unix:PATH."""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import suppress

from edgewise.errors import Conflict, NotReady


def is_local(address: str) -> bool:
    """Whether only this machine can reach it. A name other than localhost may be anybody's."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    with suppress(ValueError):
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    return False


def check_exposure(address: str, token: str) -> None:
    """NotReady for an address that other machines can reach when no token guards it."""
    if not token and not is_local(address):
        raise NotReady(f"other machines can reach {address}; give --token-file, or use a loopback address")


def check_free(address: str) -> None:
    """gRPC would not say why it cannot bind, and would take a Unix socket away from who listens on it."""
    try:
        if address.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as probe:
                taken = probe.connect_ex(address.removeprefix("unix:")) == 0
        else:
            host, _, port = address.rpartition(":")
            if int(port) > 65535:  # getaddrinfo would take the rest of it
                raise ValueError(port)
            family, kind, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
            taken = False
    except (ValueError, OverflowError):
        raise cannot_listen(address) from None
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise cannot_listen(address) from None
        taken = True
    if taken:
        raise Conflict(f"{address} is in use; stop what listens there, or give another address (port 0 picks one)")


def cannot_listen(address: str) -> NotReady:
    return NotReady(f"cannot listen on {address}: use HOST:PORT of this machine, or unix:PATH in a writable directory")
