"""Tokens: shown once, and kept as a hash.

A token is 256 random bits. Nobody can try them all, so a quick hash is as good at rest as a slow one; slow ones are
for what people think up.
"""

from __future__ import annotations

import hashlib
import secrets

PREFIX = "ew_"


def new_token() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
