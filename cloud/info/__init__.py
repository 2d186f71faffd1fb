"""Cloud info: what the gateway knows and may give away, as passages. It informs; the answer is written elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

from edgewise.errors import DeadlineExceeded, TooLarge
from edgewise.types import Findings, Passage, Privacy, Query, SideStatus, Text

# What a search engine takes in a URL, and what keeps the price of a question to the model known before it is asked.
MAX_QUERY_BYTES = 2000


class Source(Protocol):
    """One kind of information. `name` is what a reason calls it when it is missing."""

    name: str

    async def look_up(self, query: Query, timeout_s: float) -> Findings:
        """Its passages, best first, and what they cost; `reason` says why there are none, or fewer.

        It waits for others no longer than `timeout_s`. An error means that it was not even begun, and costs nothing.
        """
        ...

    def most_usd(self, backend: SideStatus) -> float | None:
        """The most that one look-up may cost at the prices of the gateway's backend; None is unknown."""
        ...


@asynccontextmanager
async def within(timeout_s: float) -> AsyncIterator[None]:
    """DeadlineExceeded for what takes longer."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise DeadlineExceeded(
            f"nothing came within {timeout_s:.3g} s; allow more time, if need be by cloud.info_timeout_s"
        ) from None


def check_short(query: Query) -> None:
    """TooLarge for a query that goes no further than the corpora."""
    size = len(query.text.value.encode("utf-8", "replace"))
    if size > MAX_QUERY_BYTES:
        raise TooLarge(f"the query has {size} bytes, and {MAX_QUERY_BYTES} are allowed; ask for less at once")


def informed(
    text: str, source: str, title: str = "", *, as_of: datetime, now: datetime, lifetime: timedelta
) -> Passage:
    """A passage of something that is no file; it has no score yet."""
    return Passage(
        id=hashlib.sha256(f"{source}\0{text}".encode("utf-8", "replace")).hexdigest()[:32],
        text=Text(value=text, label=Privacy.PUBLIC, sources=(source,)),
        source=source,
        title=title,
        origin="cloud",
        as_of=rfc3339(as_of),
        expires_at=rfc3339(now + lifetime),
    )


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
