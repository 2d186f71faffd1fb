"""What the gateway would bill by, how old that is, and what it does not know: `edgewise cloud prices`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from cloud.config import CloudSettings
from cloud.prices import HOSTED, Price


@dataclass(frozen=True, slots=True)
class Row:
    """`used` are those of the configured upstreams. An age is None where a price has no date: it is the operator's."""

    model: str
    host: str
    used: bool
    usd_per_mtok_prompt: float | None
    usd_per_mtok_cached: float | None
    usd_per_mtok_completion: float | None
    as_of: str
    age_days: int | None
    is_old: bool
    source: str


def rows(settings: CloudSettings, today: date, old_days: int) -> Iterator[Row]:
    """The upstreams' own first, then the rest of the list."""
    used = [(each.host, each.model) for each in settings.upstreams() if each.base_url and each.model]
    for each in settings.upstreams():
        if (each.host, each.model) in used:
            yield _row(each.host, each.model, each.billed_price(), today, old_days, used=True)
    for host, models in HOSTED.items():
        for model, price in models.items():
            if (host, model) not in used:
                yield _row(host, model, price, today, old_days, used=False)


def _row(host: str, model: str, price: Price | None, today: date, old_days: int, *, used: bool) -> Row:
    age = None if price is None else age_days(price, today)
    return Row(
        model=model,
        host=host,
        used=used,
        usd_per_mtok_prompt=price.usd_per_mtok_prompt if price else None,
        usd_per_mtok_cached=price.usd_per_mtok_cached if price else None,
        usd_per_mtok_completion=price.usd_per_mtok_completion if price else None,
        as_of=price.as_of if price else "",
        age_days=age,
        is_old=age is not None and age > old_days,
        source=price.source if price else "unknown: set cloud.usd_per_mtok_prompt and cloud.usd_per_mtok_completion",
    )


def age_days(price: Price, today: date) -> int | None:
    """Since the first day that `as_of`, a day or a month, may mean; None for a price without a date."""
    if not price.as_of:
        return None
    return (today - date.fromisoformat(price.as_of if len(price.as_of) == 10 else f"{price.as_of}-01")).days


def lines(listed: Iterable[Row]) -> Iterator[str]:
    """For people: under the host and the source of its prices, `*` marks what is used here."""
    yield f"  {'US dollars a million tokens':<48} {'prompt':>8} {'cached':>8} {'written':>8}"
    for (host, source), group in groupby(listed, lambda row: (row.host, _source(row))):
        yield host
        yield f"  {source}"
        for row in group:
            costs = (row.usd_per_mtok_prompt, row.usd_per_mtok_cached, row.usd_per_mtok_completion)
            shown = " ".join(f"{'?' if cost is None else f'{cost:g}':>8}" for cost in costs)
            yield f"{'*' if row.used else ' '} {row.model:<48} {shown}"


def _source(row: Row) -> str:
    when = f", {row.as_of}, {row.age_days} days" if row.as_of else ""
    return f"{row.source}{when}{': OLD, check it' if row.is_old else ''}"
