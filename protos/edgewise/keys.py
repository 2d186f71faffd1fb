"""Keys under which two parts of the program find the same thing."""

from __future__ import annotations

import hashlib
import unicodedata


def question_hash(text: str) -> str:
    """SHA-256, in hex, of a question whatever its Unicode form, case and white space."""
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.sha256(normal.encode("utf-8", "surrogatepass")).hexdigest()
