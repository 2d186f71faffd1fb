"""What is to be forgotten, and what came of it."""

from __future__ import annotations

from pydantic import Field

from edgewise.texts import Value


class Unwanted(Value):
    """What is to be forgotten: what fits all that is given, which is one thing at least.

    `app` alone is everything of an app; `before` is a date or a time, and means what is older.
    """

    record_id: str = Field(default="", max_length=200)
    conversation_id: str = Field(default="", max_length=200)
    document_id: str = Field(default="", max_length=200)
    app: str = Field(default="", max_length=200)
    user_id: str = Field(default="", max_length=200)
    before: str = Field(default="", max_length=200)


class Forgotten(Value):
    """What is gone, in numbers. `redacted` are records that repeated some of it, and do so no longer.

    `remarks` are what could not be reached, and what must be done by hand.
    """

    records: int = 0
    redacted: int = 0
    documents: int = 0
    cloud_info: int = 0
    remarks: tuple[str, ...] = ()
