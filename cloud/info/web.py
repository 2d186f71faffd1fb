"""Web results as cloud info. Who searches the web is a `Provider`; this weighs and dates what one has found."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cloud.info import check_short, informed, within
from cloud.info.scales import Scales
from edge.ingest.cleaning import clean, one_line
from edgewise.errors import DeadlineExceeded
from edgewise.types import CostBasis, Findings, Passage, Query, SideStatus

_MOST_HITS = 20
# What a script or a style sheet holds is no text either. Neither pattern looks further than a snippet is long.
_UNSEEN = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-z][^<>]*>|<![^<>]*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hit:
    """A result as a provider gives it, markup and all; `url` is http or https."""

    url: str
    title: str
    snippet: str
    published: datetime | None = None


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search brought, best first, or the `reason` why nothing; `charged` if the provider got to see it."""

    hits: tuple[Hit, ...] = ()
    reason: str = ""
    charged: bool = True


class Provider(Protocol):
    """A search of the web. It goes to the address that it was made with, and to no other."""

    async def search(self, text: str) -> Searched:
        """It never raises for what the other end does wrong."""
        ...


class Web:
    name = "web search"

    def __init__(self, provider: Provider, scales: Scales, usd_per_search: float, lifetime: timedelta) -> None:
        self._provider = provider
        self._scales = scales
        self._usd_per_search = usd_per_search
        self._lifetime = lifetime

    async def look_up(self, query: Query, timeout_s: float) -> Findings:
        check_short(query)
        try:
            async with within(timeout_s):
                searched = await self._provider.search(one_line(query.text.value))
        except DeadlineExceeded as error:
            searched = Searched(reason=error.message)
        now = datetime.now(UTC)
        passages = [one for hit in searched.hits[:_MOST_HITS] if (one := self._passage(hit, now)) is not None]
        usd = self._usd_per_search if searched.charged else 0.0
        found = await self._scales.weigh(query, passages)
        basis = CostBasis.BILLED if usd else None
        return found.model_copy(update={"reason": searched.reason, "cost_usd": usd, "cost_basis": basis})

    def most_usd(self, _: SideStatus) -> float:
        return self._usd_per_search

    def _passage(self, hit: Hit, now: datetime) -> Passage | None:
        """None for a hit without a text."""
        text = clean(seen(hit.snippet)).strip()
        if not text:
            return None
        published = hit.published if hit.published and hit.published < now else now
        title = one_line(seen(hit.title))
        return informed(text, one_line(hit.url), title, as_of=published, now=now, lifetime=self._lifetime)


def seen(markup: str) -> str:
    """What a reader would see of a piece of HTML, or of plain text with a `<` in it."""
    return html.unescape(_TAG.sub("", _UNSEEN.sub(" ", markup)))
