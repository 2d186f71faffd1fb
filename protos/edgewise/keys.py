"""Keys under which two parts of the program find the same thing, and names for new things."""

from __future__ import annotations

import hashlib
import random
import unicodedata

_NAMES = random.Random()  # noqa: S311 - no secrets; one of our own, seeded by the system, for others seed the common one


def question_hash(text: str) -> str:
    """SHA-256, in hex, of a question whatever its Unicode form, case and white space."""
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.sha256(normal.encode("utf-8", "surrogatepass")).hexdigest()


def new_id() -> str:
    """32 hex digits that name nothing else; they are no secret.

    Without the system call of a UUID, during which Python's lock goes to another thread.
    """
    return f"{_NAMES.getrandbits(128):032x}"
