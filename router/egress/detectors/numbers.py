"""Numbers of cards, accounts and persons, by the check digits that their issuers put into them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

_SEPARATORS = r"[ .\-]{0,3}"
_RUN = re.compile(rf"(?<![A-Za-z0-9])\d(?:{_SEPARATORS}\d){{11,40}}(?![A-Za-z0-9])")
# The digits that a card begins with, and how many it has (ISO/IEC 7812, as issuers publish their ranges).
_CARD = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720|20[0-4])\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[689]\d)\d{11,16}|35(?:2[89]|[3-8]\d)\d{12,15}|6\d{13,18}|5[0678]\d{11,17}"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ \-]?[A-Za-z0-9])")
# ISO 13616: how many characters an IBAN has in each country.
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in (
        ("15", "NO"), ("16", "BE"), ("18", "DK FI FO GL NL SD"), ("19", "MK SI"), ("20", "AT BA EE KZ LT LU XK MN"),
        ("21", "CH HR LI LV"), ("22", "BG BH CR DE GB GE IE ME RS VA"), ("23", "AE GI IL IQ OM SO TL"),
        ("24", "AD CZ ES MD PK RO SA SE SK TN VG"), ("25", "LY PT ST"), ("26", "IS TR"),
        ("27", "BI DJ FR GR IT MC MR SM"), ("28", "AL AZ BY CY DO GT HU LB NI PL SV"), ("29", "BR EG PS QA UA"),
        ("30", "JO KW MU YE"), ("31", "MT SC"), ("33", "RU"),
    )
    for country in countries.split()
}  # fmt: skip
_LONGEST_IBAN = 34


def has_card(text: str) -> bool:
    """Digits in one piece or in groups of one size, of a length and a beginning that cards have, and that add up."""
    return any(_CARD.fullmatch(digits) and luhn(digits) for run in _RUN.finditer(text) for digits in _blocks(run))


def _blocks(run: re.Match[str]) -> Iterator[str]:
    """The numbers that a run of digits may be: groups of one size, the last may be shorter; or Amex's 4, 6 and 5."""
    text = run.group()
    groups = [(found.start(), found.group()) for found in re.finditer(r"\d+", text)]
    start = 0
    while start < len(groups):
        at, first = groups[start]
        end = start + 1
        while end < len(groups) and len(groups[end][1]) == len(first):
            end += 1
        block = "".join(digits for _, digits in groups[start:end])
        is_fraction = start > 0 and text[at - 1] == "." and len(groups[start - 1][1]) <= 3 and end == start + 1
        if (len(first) >= 3 or (len(first) == 1 and end - start >= 12)) and not is_fraction:
            yield block
            if end < len(groups) and len(groups[end][1]) < len(first):
                yield block + groups[end][1]
        if len(first) == 4 and [len(digits) for _, digits in groups[start + 1 : start + 3]] in ([6, 5], [6, 4]):
            yield "".join(digits for _, digits in groups[start : start + 3])
        start = end


def has_iban(text: str) -> bool:
    return any(_is_iban(text[found.start() : found.start() + 2 * _LONGEST_IBAN]) for found in _IBAN.finditer(text))


def _is_iban(text: str) -> bool:
    """Whether a text begins with one: ISO 7064 MOD 97-10, groups and all."""
    length = _IBAN_LENGTHS.get(text[:2].upper())
    if length is None:
        return False
    taken = ""
    for place, character in enumerate(text):
        if character in " -":
            continue
        if not (character.isascii() and character.isalnum()):
            return False
        taken += character.upper()
        if len(taken) == length:
            after = text[place + 1 : place + 2]
            if after.isascii() and after.isalnum():
                return False
            return int("".join(str(int(one, 36)) for one in taken[4:] + taken[:4])) % 97 == 1
    return False


def luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


# --- numbers of persons -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Number:
    """How one looks, and whether its check digits hold; what is checked has no separators, in capitals."""

    looks: re.Pattern[str]
    holds: Callable[[str], bool]


def _number(looks: str, holds: Callable[[str], bool] = lambda _: True) -> _Number:
    """In `looks`, `~` is where a separator may be."""
    return _Number(re.compile(rf"(?<![A-Za-z0-9])(?:{looks.replace('~', _SEPARATORS)})(?![A-Za-z0-9])"), holds)


def _weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _chinese(number: str) -> bool:
    """GB 11643: a day of birth, and ISO 7064 MOD 11-2."""
    return (
        number[0] in "12345689"
        and _is_day(number[6:10], number[10:12], number[12:14])
        and "10X98765432"[_weighted(number, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)) % 11] == number[17]
    )


def _german(number: str) -> bool:
    """Identifikationsnummer: of the first ten digits one or more is missing, ISO 7064 MOD 11,10."""
    first = number[:10]
    most = max(map(first.count, first))
    if first[0] == "0" or most not in {2, 3} or len(set(first)) != 11 - most or len(set(number)) == 1:
        return False
    product = 10
    for digit in first:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(number[10])


def _french(number: str) -> bool:
    """NIR: 97 less the remainder; the departments of Corsica are 2A and 2B."""
    plain = number.replace("2A", "19", 1).replace("2B", "18", 1)
    return plain.isdigit() and 97 - int(plain[:13]) % 97 == int(plain[13:])


def _spanish(number: str) -> bool:
    """DNI, and NIE, whose first letter stands for a digit."""
    plain = number.translate({ord("X"): "0", ord("Y"): "1", ord("Z"): "2"}) if number[0] in "XYZ" else number
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(plain[:8] if plain[:8].isdigit() else number[1:8]) % 23] == number[-1]


def _italian(number: str) -> bool:
    """Codice fiscale: each character at an odd place has a value of its own (D.M. 23/12/1976)."""
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    values = [int(one) if one.isdigit() else ord(one) - 65 for one in number[:15]]
    return chr(65 + sum(value if place % 2 else odd[value] for place, value in enumerate(values)) % 26) == number[15]


def _brazilian(number: str) -> bool:
    """CPF: two check digits, each modulo 11."""
    first = _weighted(number, range(10, 1, -1)) * 10 % 11 % 10
    second = _weighted(number, range(11, 1, -1)) * 10 % 11 % 10
    return number[9:] == f"{first}{second}" and len(set(number)) > 1


_D5 = ("0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
       "5987604321", "6598710432", "7659821043", "8765932104", "9876543210")  # fmt: skip
_P8 = ("0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258")


def _indian(number: str) -> bool:
    """Aadhaar: Verhoeff's check digit (1969)."""
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = int(_D5[check][int(_P8[place % 8][int(digit)])])
    return check == 0


def _hong_kong(number: str) -> bool:
    """One letter counts as if a blank stood before it, which is 36."""
    letters, digits, check = number[:-9], number[-9:-3], number[-2]
    values = [ord(letter) - 55 for letter in letters] if len(letters) == 2 else [36, ord(letters) - 55]
    total = sum(value * weight for value, weight in zip([*values, *map(int, digits)], range(9, 1, -1), strict=True))
    return "0A987654321"[total % 11] == check


def _taiwanese(number: str) -> bool:
    tens, ones = divmod("ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0]) + 10, 10)
    return (tens + ones * 9 + _weighted(number[1:], range(8, 0, -1)) + int(number[9])) % 10 == 0


def _korean(number: str) -> bool:
    day = _is_day(("19" if number[6] in "12" else "20") + number[:2], number[2:4], number[4:6])
    return day and (11 - _weighted(number, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10 == int(number[12])


def _swedish(number: str) -> bool:
    return "01" <= number[2:4] <= "12" and "01" <= number[4:6] <= "31" and luhn(number)


def _singaporean(number: str) -> bool:
    total = _weighted(number[1:8], (2, 7, 6, 5, 4, 3, 2)) + (4 if number[0] in "TG" else 0)
    return ("JZIHGFEDCBA" if number[0] in "ST" else "XWUTRQPNMLK")[total % 11] == number[8]


_PERSONS = (
    _number(r"[1-9]\d{5}~(?:19|20)\d\d~\d\d~\d\d~\d{3}~[\dXx]", _chinese),
    _number(r"[1-9](?:~\d){16}~[\dXx]", _chinese),
    _number(r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}"),  # United States
    _number(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?\d\d[ -]?\d\d[ -]?\d\d[ -]?[A-D]"),  # UK
    _number(r"[1-9]\d~\d{3}~\d{3}~\d{3}", _german),
    _number(r"[12]~\d\d~(?:0[1-9]|1[0-2])~(?:\d\d|2[AB])~\d{3}~\d{3}~\d\d", _french),
    _number(r"\d{8}-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", _spanish),
    _number(r"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]", _italian),
    _number(r"\d{3}\.\d{3}\.\d{3}-\d\d", _brazilian),
    _number(r"[2-9]\d{3}[ -]\d{4}[ -]\d{4}", _indian),
    _number(r"[A-Z]{3}[PCHFATBLJG][A-Z]\d{4}[A-Z]"),  # PAN of India
    _number(r"[A-Z]{1,2}\d{6}\([\dA]\)", _hong_kong),
    _number(r"[A-Z][12]\d{8}", _taiwanese),
    _number(r"\d{6}-[1-4]\d{6}", _korean),
    _number(r"(?:19|20)?\d{6}[-+]\d{4}", lambda number: _swedish(number[-10:])),
    _number(r"[STFG]\d{7}[A-Z]", _singaporean),
)


def has_persons_number(text: str) -> bool:
    return any(
        number.holds(re.sub(r"[ .+\-]", "", found.group()).upper())
        for number in _PERSONS
        for found in number.looks.finditer(text)
    )
