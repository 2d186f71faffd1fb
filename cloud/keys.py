"""Who may come to a gateway: its owner, who has a token in a file, and the holders of keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgewise.addresses import cannot_listen, is_local
from edgewise.callers import Anybody, Caller, Callers, Either, Owner
from edgewise.errors import NotReady

if TYPE_CHECKING:
    from edgewise.accounts.accounts import Accounts

_KEYS = "edgewise cloud keys add NAME"


async def open_keys(data_dir: Path) -> Accounts:
    """Those of a data directory, to be closed; NotReady."""
    from edgewise.accounts.accounts import Accounts

    return await Accounts.open(data_dir / "cloud" / "keys.db")


class Invited:
    """Anybody, as long as there was never a key: the first one that is made shuts the door, also while it serves."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._anybody = Anybody()

    def identify(self, authorization: str) -> Caller:
        callers = self._anybody if self._accounts.is_empty else self._accounts
        return callers.identify(authorization)


def callers_of(accounts: Accounts, token: str) -> Callers:
    return Either(Owner(token), accounts) if token else Invited(accounts)


def check_guarded(address: str, *, has_keys: bool, has_token: bool, has_tls: bool, plaintext: bool) -> None:
    """NotReady for an address that other machines can reach, unless callers are asked who they are, and over TLS."""
    if is_local(address):
        return
    if ":" not in address:
        raise cannot_listen(address)
    if not (has_keys or has_token):
        raise NotReady(f"other machines can reach {address}; make a key (`{_KEYS}`), or give --token-file")
    if not (has_tls or plaintext):
        raise NotReady(
            f"other machines can reach {address}, and what they send would be readable on the way; set "
            "cloud.tls_cert_file and cloud.tls_key_file, or give --plaintext where something in front has the TLS"
        )
