"""Accounts: whom a door knows by a token, and what they may spend. The gateway's keys and the daemon's apps are both.

`Accounts` is in `edgewise.accounts.accounts`: it brings SQLAlchemy along.
"""

from __future__ import annotations

from edgewise.accounts.account import Account as Account
from edgewise.accounts.account import Period as Period
from edgewise.accounts.account import Standing as Standing
