"""Times as records have them: RFC 3339, UTC, milliseconds, so that their order is that of their characters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from edgewise.errors import InvalidInput

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def now() -> str:
    return written(utc_now())


def parse_moment(text: str) -> str:
    """A date or a time, in the time zone of this machine unless it names one, as records have it; empty stays empty."""
    if not text:
        return ""
    try:
        return written(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"`{text[:40]}` is no date; write 2026-11-30, or a time such as 2026-11-30T18:00:00+01:00"
        ) from None
