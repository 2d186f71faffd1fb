"""Who calls a server, told by the `authorization` that came with the call and by nothing in its body."""

from __future__ import annotations

import hmac
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from edgewise.errors import Unauthenticated

_SCHEME = "Bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of the machine has no name; an app, or who has a key of the gateway, has one."""

    name: str = ""

    @property
    def is_owner(self) -> bool:
        return not self.name


OWNER = Caller()


class Callers(Protocol):
    """Those who may call."""

    def identify(self, authorization: str) -> Caller:
        """Who sends this header, which is empty if there was none; Unauthenticated. Each call waits for it."""
        ...


class Anybody:
    """Where the place lets in nobody but the owner, such as a Unix socket of mode 0600; or where all may call."""

    def identify(self, authorization: str) -> Caller:
        return OWNER


class Owner:
    """Whoever has the one token is the owner."""

    def __init__(self, token: str) -> None:
        self._wanted = f"{_SCHEME}{token}".encode()

    def identify(self, authorization: str) -> Caller:
        if hmac.compare_digest(authorization.encode("utf-8", "surrogatepass"), self._wanted):
            return OWNER
        raise Unauthenticated("send the token of the data directory as metadata `authorization: Bearer TOKEN`")


class Either:
    """Whom the first knows, or else the second: the owner, say, and those who have an account."""

    def __init__(self, first: Callers, second: Callers) -> None:
        self._first = first
        self._second = second

    def identify(self, authorization: str) -> Caller:
        with suppress(Unauthenticated):
            return self._first.identify(authorization)
        return self._second.identify(authorization)


def bearer(authorization: str) -> str:
    """The token of the header; empty for a header of another kind, and for none."""
    return authorization.removeprefix(_SCHEME) if authorization.startswith(_SCHEME) else ""


def owner_of(token: str) -> Callers:
    """Of a token: its holder; of none: anybody."""
    return Owner(token) if token else Anybody()
