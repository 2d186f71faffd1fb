"""What a terminal may be shown of texts that others wrote: no control characters, which move, hide, link and copy."""

from __future__ import annotations

_KEPT = "\n\t"
# C0 and C1, and what turns the direction of writing around.
_CODES = [*range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_TABLE = {code: None for code in _CODES if chr(code) not in _KEPT}


def plain(text: str) -> str:
    return text.translate(_TABLE)
