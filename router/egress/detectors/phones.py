"""Telephone numbers, as the package phonenumbers knows them; it is imported when a text has what may be one.

A number with a country code counts if it is a possible one. Without, it must be valid somewhere, and look like a
telephone number or stand beside a word that says so: years, prices, ISBNs and parts have digits enough, too.
"""

from __future__ import annotations

import re

_CANDIDATE = re.compile(r"(?<![A-Za-z0-9_.,/+\-=])(?:\+|\(?\d)[\d ().\-/]{5,22}\d(?![A-Za-z0-9_%])")
_WORD = re.compile(
    r"\b(?:(?:tele)?phones?|mobile|cell(?:phone)?|tel|whatsapp|fax|sms)\b|\b(?:text|reach|ring) (?:me|us|him|her)\b"
    r"|\bcall (?:me|us|him|her|them|my|at|on)\b|\b(?:my|his|her|our|their) number\b"
    r"|电话|手机|联系|拨打|座机|致电|微信|号码",
    re.IGNORECASE | re.ASCII,
)
_BEFORE, _AFTER = 40, 15
# As people write them where they live.
_SHAPES = (
    (re.compile(r"1[3-9]\d[ -]?\d{4}[ -]?\d{4}"), ("CN",)),
    (re.compile(r"(?:1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"), ("US",)),
    (re.compile(r"\(?0\d{1,4}\)?[ /-]\d{2,4}(?:[ -]?\d{2,4}){1,4}"), ("GB", "DE", "FR", "CN", "IT", "JP", "AU", "IN")),
    (re.compile(r"[6-9]\d{4}[ -]\d{5}"), ("IN",)),
)
_REGIONS = ("US", "CN", "GB", "DE", "FR", "IN", "JP", "AU", "BR", "ES", "IT")
_NO_PHONE = re.compile(
    r"(?:1\d|20)\d\d ?[-/] ?(?:1\d|20)\d\d"  # from year to year
    r"|\d{4}[-./ ]\d{1,2}[-./ ]\d{1,2}(?:[ -].*)?|\d{1,2}[-./ ]\d{1,2}[-./ ]\d{4}"  # dates
    r"|97[89][ -]?(?:\d[ -]?){9}\d"  # books
    r"|\d{1,3}(?:\.\d{1,3}){3}"  # addresses of the Internet
    r"|\d{1,3}(?:[ .]\d{3})+"  # thousands
)
_NAMED = "isbn|issn|doi|asin|upc|ean|sku|part|model|version|order|invoice|id"
_OTHER = re.compile(rf"(?:{_NAMED})[\s:#.no-]{{0,8}}$", re.IGNORECASE)
_MOST_LOOKED_UP = 300


def has_phone(text: str) -> bool:
    """Of a text with more candidates than can be looked up it is taken to have one."""
    looked_up = 0
    for found in _CANDIDATE.finditer(text):
        candidate = found.group()
        digits = sum(map(str.isdigit, candidate))
        if not 7 <= digits <= 15:
            continue
        if candidate.startswith("+"):
            regions: tuple[str | None, ...] = (None,)
        else:
            regions = _regions(candidate, text, found.start(), found.end(), digits)
        looked_up += bool(regions)
        if looked_up > _MOST_LOOKED_UP or any(_is_phone(candidate, region) for region in regions):
            return True
    return False


def _regions(candidate: str, text: str, start: int, end: int, digits: int) -> tuple[str, ...]:
    """Where a number without a country code may be one; nowhere for most."""
    if _NO_PHONE.fullmatch(candidate) or _OTHER.search(text[max(0, start - 20) : start]):
        return ()
    for shape, regions in _SHAPES:
        if shape.fullmatch(candidate):
            return regions
    near = _WORD.search(text, max(0, start - _BEFORE), min(len(text), end + _AFTER))
    return _REGIONS if near and digits >= 8 else ()


def _is_phone(candidate: str, region: str | None) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(candidate, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(number) if region is None else phonenumbers.is_valid_number(number)
