"""`edgewise cloud keys ...`: who may use the gateway of this data directory, also while it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from edgewise import exits

if TYPE_CHECKING:
    from edgewise.accounts import Standing
    from edgewise.accounts.accounts import Accounts

T = TypeVar("T")

keys_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Keys of the gateway: who may use it, and what they may spend."
)
Name = Annotated[str, typer.Argument(help="Letters, digits, dots, dashes and underscores.")]
DataDir = Annotated[Path | None, typer.Option(help="The gateway's data directory.")]


@keys_app.command()
def add(
    name: Name,
    *,
    rpm: Annotated[int | None, typer.Option(min=1, help="Calls a minute; so many at once, too.")] = None,
    per_day: Annotated[int | None, typer.Option(min=1, help="Calls a day (UTC).")] = None,
    tokens_per_day: Annotated[
        int | None, typer.Option(min=1, help="Tokens a day (UTC), of prompts and answers.")
    ] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="Dollars that may be spent in --period.")] = None,
    period: Annotated[
        Literal["day", "month", "all"], typer.Option(help="What the budget is for: a day or month (UTC), or in all.")
    ] = "month",
    model: Annotated[list[str] | None, typer.Option(help="A model that may be used; repeatable. Else all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it, once: only its hash is kept. Without limits, it has none."""
    from pydantic import ValidationError

    from edgewise.accounts import Account, Period
    from edgewise.wire import invalid

    try:
        account = Account(
            name=name,
            allowed=frozenset(model) if model else None,
            requests_per_minute=rpm,
            requests_per_day=per_day,
            tokens_per_day=tokens_per_day,
            budget_usd=budget,
            period=Period(period),
        )
    except ValidationError as error:
        raise invalid(error) from None
    typer.echo(_run(data_dir, lambda accounts: accounts.add(account)))


@keys_app.command("list")
def list_keys(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Say who has a key, what it may do, and what it has done. Keys themselves are nowhere to be read."""
    import json

    found = _run(data_dir, lambda accounts: accounts.list())
    if as_json:
        typer.echo(json.dumps([_row(standing) for standing in found], indent=1))
        return
    for standing in found:
        typer.echo("\n".join(_lines(standing)))
    if not found:
        typer.echo("no keys yet; `edgewise cloud keys add NAME` makes one")


@keys_app.command()
def rotate(name: Name, *, data_dir: DataDir = None) -> None:
    """Print another key for NAME. The old one is refused from now on; what was spent stays spent."""
    typer.echo(_run(data_dir, lambda accounts: accounts.rotate(name)))


@keys_app.command()
def revoke(name: Name, *, data_dir: DataDir = None) -> None:
    """Refuse a key from now on, within a second also by a gateway that runs. Its name is not given again."""
    _run(data_dir, lambda accounts: accounts.revoke(name))
    typer.echo(f"revoked {name}")


def _run(data_dir: Path | None, work: Callable[[Accounts], Awaitable[T]]) -> T:
    from cloud.keys import open_keys
    from edgewise import settings

    async def main() -> T:
        accounts = await open_keys(data_dir or settings.data_dir())
        try:
            return await work(accounts)
        finally:
            await accounts.close()

    return exits.run(main())


def _row(standing: Standing) -> dict[str, object]:
    row = standing.model_dump(mode="json")
    account = row.pop("account")
    allowed = account.pop("allowed")
    return {**account, "models": None if allowed is None else sorted(allowed), **row}


def _lines(standing: Standing) -> list[str]:
    account = standing.account
    span = {"day": "today", "month": "this month", "all": "in all"}[account.period.value]
    if account.budget_usd is None:
        span, money = "in all", f"${standing.spent_usd:.4f} spent"
    else:
        money = f"${standing.spent_usd:.4f} of ${account.budget_usd:.2f} spent"
    if standing.reserved_usd:
        money += f", ${standing.reserved_usd:.4f} kept for calls that run, or that were killed"
    if standing.unbilled:
        money += f", {standing.unbilled} calls without a bill"
    limits = {
        "calls a minute": account.requests_per_minute,
        "calls a day": account.requests_per_day,
        "tokens a day": account.tokens_per_day,
    }
    allowed = [f"{limit} {what}" for what, limit in limits.items() if limit is not None]
    if account.allowed is not None:
        allowed.append(f"models {', '.join(sorted(account.allowed))}")
    state = f"revoked {account.revoked_at}" if account.revoked_at else f"made {account.created_at}"
    return [
        f"{account.name}: {state}, last used {standing.last_used_at or 'never'}",
        f"  {span}: {money}, {standing.calls} calls, {standing.tokens} tokens",
        f"  may: {', '.join(allowed) or 'anything'}",
    ]
