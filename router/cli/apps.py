"""`apps`: who else may call the daemon, and how far."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgewise import exits
from router.cli.local import AsJson, DataDir, as_given, data_directory

if TYPE_CHECKING:
    from edgewise.accounts import Account, Standing

apps = typer.Typer(
    help="Let other programs call the daemon, each with a token, records, collections and a budget of its own.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Letters, digits, `.`, `_` and `-`; it is given once.")]


@apps.command()
def add(
    name: Name,
    collection: Annotated[
        list[str] | None,
        typer.Option(help="A collection of documents that it may use, all others not; repeatable. Else `app-NAME`."),
    ] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Calls a minute.")] = None,
    per_day: Annotated[int | None, typer.Option(min=1, help="Calls a day (UTC).")] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="What its questions may cost a period, in USD.")] = None,
    period: Annotated[Literal["day", "month", "all"], typer.Option(help="What the budget is for (UTC).")] = "month",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a token, which is printed this once. A running daemon knows it within a second."""
    from edgewise.accounts import Account, Period
    from edgewise.accounts.accounts import Accounts
    from router.apps import FILE, checked, collections_of

    with as_given():
        wanted = Account(
            name=name, allowed=frozenset(collection) if collection else None, requests_per_minute=rpm,
            requests_per_day=per_day, budget_usd=budget, period=Period(period),
        )  # fmt: skip
    account = checked(wanted)

    async def work() -> str:
        accounts = await Accounts.open(data_directory(data_dir) / FILE)
        try:
            return await accounts.add(account)
        finally:
            await accounts.close()

    token = exits.run(work())
    if as_json:
        print(json.dumps({"name": name, "token": token, "collections": collections_of(account)}))
        return
    print(token)
    typer.echo(f"{name} may use {_and(collections_of(account))}; its token is not shown again", err=True)


@apps.command(name="list")
def list_(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show who there is, and what they have used; those that were revoked, too."""
    from edgewise.accounts.accounts import Accounts
    from router.apps import FILE, collections_of

    file = data_directory(data_dir) / FILE

    async def work() -> tuple[Standing, ...]:
        accounts = await Accounts.open(file)
        try:
            return await accounts.list()
        finally:
            await accounts.close()

    found = exits.run(work()) if file.exists() else ()
    if as_json:
        shown = [
            {
                **one.account.model_dump(mode="json", exclude={"allowed", "tokens_per_day"}),
                "collections": collections_of(one.account),
                **one.model_dump(mode="json", exclude={"account", "tokens", "tokens_today"}),
            }
            for one in found
        ]
        print(json.dumps(shown, indent=2))
        return
    for one in found:
        print(_line(one))
    if not found:
        print("no apps yet; `edgewise apps add NAME` makes a token for one")


@apps.command()
def revoke(name: Name, data_dir: DataDir = None) -> None:
    """Let a token in no more; a running daemon knows within a second. Its records stay, see `edgewise forget --app`."""
    from edgewise.accounts.accounts import Accounts
    from edgewise.errors import NotFound
    from router.apps import FILE

    file = data_directory(data_dir) / FILE

    async def work() -> None:
        if not file.exists():
            raise NotFound(f"there is no `{name}`; `edgewise apps list` shows who there is")
        accounts = await Accounts.open(file)
        try:
            await accounts.revoke(name)
        finally:
            await accounts.close()

    exits.run(work())
    print(f"revoked {name}")


def _line(one: Standing) -> str:
    from router.apps import collections_of

    account = one.account
    facts = [f"uses {_and(collections_of(account))}", f"{one.calls:,} calls", *_limits(account)]
    if account.budget_usd is not None:
        kept = f", ${one.reserved_usd:.6f} kept for answers" if one.reserved_usd else ""
        span = "in all" if account.period.value == "all" else f"a {account.period.value}"
        facts.append(f"${one.spent_usd:.6f} of ${account.budget_usd:g} {span}{kept}")
    facts.append(f"revoked {account.revoked_at[:16]}" if account.revoked_at else f"since {account.created_at[:16]}")
    return f"{account.name}  {' · '.join(facts)}"


def _limits(account: Account) -> list[str]:
    given = ((account.requests_per_minute, "a minute"), (account.requests_per_day, "a day"))
    return [f"at most {count:,} {span}" for count, span in given if count is not None]


def _and(names: tuple[str, ...]) -> str:
    return ", ".join(names)
