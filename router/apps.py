"""The apps of a data directory: who they are, how far they reach, and what they may spend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edgewise.accounts import Account
from edgewise.accounts.accounts import Accounts
from edgewise.callers import Caller
from edgewise.errors import InvalidInput, Unauthenticated
from edgewise.types import CLOUD_INFO
from router.answering import Origin
from router.purse import Purse
from router.reach import OWNERS, OWNERS_HTTP, Reach, own_collection

FILE = "apps.db"
"""In the data directory."""

_NONE = "there are no apps here; ask with the owner's token"
_RESERVED = frozenset({OWNERS_HTTP, "owner"})


class Apps:
    """`Callers` who are apps. Without accounts there are none."""

    def __init__(self, accounts: Accounts | None) -> None:
        self._accounts = accounts

    @staticmethod
    @asynccontextmanager
    async def open(data_dir: Path) -> AsyncIterator[Apps]:
        """Of a data directory; a change that another process makes is seen within a second."""
        accounts = await Accounts.open(data_dir / FILE)
        try:
            yield Apps(accounts)
        finally:
            await accounts.close()

    def identify(self, authorization: str) -> Caller:
        if self._accounts is None:
            raise Unauthenticated(_NONE)
        return self._accounts.identify(authorization)

    async def reach(self, caller: Caller) -> Reach:
        """Counts a call; Overloaded for one too many, Unauthenticated for an app that was revoked meanwhile."""
        if caller.is_owner:
            return OWNERS
        if self._accounts is None:
            raise Unauthenticated(_NONE)
        await self._accounts.admit(caller.name)
        account = self._accounts.account(caller.name)
        return Reach(account.name, collections_of(account))

    def origin(self, reach: Reach, owners: str = "") -> Origin:
        """Of a question; that of the owner is recorded under a name that no app has."""
        if reach.is_owner:
            return Origin(app=owners)
        return Origin(app=reach.app, purse=Purse(self._accounts, reach.app) if self._accounts is not None else None)

    async def revoke(self, name: str) -> None:
        """NotFound for an app that is not there, or was revoked before."""
        if self._accounts is not None:
            await self._accounts.revoke(name)


NO_APPS = Apps(None)


def collections_of(account: Account) -> tuple[str, ...]:
    return tuple(sorted(account.allowed or ())) or (own_collection(account.name),)


def checked(account: Account) -> Account:
    """An account that may be an app; InvalidInput."""
    if account.name in _RESERVED:
        raise InvalidInput(f"`{account.name}` is not a name for an app; choose another one")
    for collection in account.allowed or ():
        if not collection.strip():
            raise InvalidInput("a collection needs a name")
        if collection.startswith(CLOUD_INFO):
            raise InvalidInput(
                f"`{collection[:80]}` cannot be a collection of an app: what begins with {CLOUD_INFO} holds what the "
                "cloud informed of, for the owner or for each app apart; name another one"
            )
    return account
