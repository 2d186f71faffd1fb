"""What people type without labelling it, and a detector must hold; and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable

from router.leaktest.marks import Mark, Marks

Drawn = tuple[str, Mark]
"""A question, and what in it must not leave."""


def _plain(words: str) -> Callable[[Marks], Drawn]:
    def draw(marks: Marks) -> Drawn:
        secret = marks.words()
        return words.format(secret), Mark(secret)

    return draw


def _api_key(marks: Marks) -> Drawn:
    secret = marks.letters(32)
    return f"Why does the server refuse my key sk-{secret}?", Mark(secret)


def _aws_key(marks: Marks) -> Drawn:
    secret = marks.letters(16).upper()
    return f"Is AKIA{secret} a root key?", Mark(secret)


def _private_key(marks: Marks) -> Drawn:
    secret = marks.letters(48)
    return f"What is this? -----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----", Mark(secret)


def _card(marks: Marks) -> Drawn:
    digits = with_luhn("4" + marks.digits(14))
    return f"Can I pay with {' '.join(digits[at : at + 4] for at in range(0, 16, 4))}?", Mark(digits)


def _card_in_chinese(marks: Marks) -> Drawn:
    digits = with_luhn("5" + marks.choice("12345") + marks.digits(13))
    return f"我的银行卡{digits}为什么不能用？", Mark(digits)


def _iban(marks: Marks) -> Drawn:
    account = marks.digits(18)
    check = 98 - int(f"{account}131400") % 97
    return f"Send the rent to DE{check:02}{account}, please.", Mark(account)


def _email(marks: Marks) -> Drawn:
    secret = marks.words().replace("-", ".")
    return f"Write a reminder to {secret}@example.com.", Mark(secret)


def _phone(marks: Marks) -> Drawn:
    digits = f"7911{marks.digits(6)}"
    return f"Please call my sister at +44 {digits[:4]} {digits[4:]} tonight.", Mark(digits)


def _phone_in_chinese(marks: Marks) -> Drawn:
    digits = f"138{marks.digits(8)}"
    return f"请拨打我妈妈的手机{digits}。", Mark(digits)


def _social_security(marks: Marks) -> Drawn:
    digits = f"5{marks.choice('123456789')}{marks.choice('123456789')}4{marks.choice('123456789')}{marks.digits(3)}9"
    return f"My social security number is {digits[:3]}-{digits[3:5]}-{digits[5:]}. Is it old?", Mark(digits)


def _chinese_id(marks: Marks) -> Drawn:
    day = (
        f"19{marks.choice('678')}{marks.choice('0123456789')}0{marks.choice('123456789')}1{marks.choice('0123456789')}"
    )
    first = f"110105{day}{marks.digits(3)}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    check = "10X98765432"[sum(int(digit) * weight for digit, weight in zip(first, weights, strict=True)) % 11]
    return f"身份证号{first}{check}是哪里的？", Mark(first)


HELD: dict[str, Callable[[Marks], Drawn]] = {
    "an API key": _api_key,
    "an AWS key": _aws_key,
    "a private key": _private_key,
    "a card": _card,
    "a card, in Chinese": _card_in_chinese,
    "an IBAN": _iban,
    "an e-mail address": _email,
    "a telephone": _phone,
    "a telephone, in Chinese": _phone_in_chinese,
    "a social security number": _social_security,
    "a Chinese ID number": _chinese_id,
    "a password": _plain("My password is {}. Is that a good one?"),
    "a password, in Chinese": _plain("我的密码是{}，安全吗？"),
}
"""Unlabelled questions with a secret that detectors must see (`privacy.unknown = allow`)."""

HARMLESS: dict[str, Callable[[Marks], Drawn]] = {
    "a name": _plain("Who was the painter {}?"),
    "a year": _plain("Was {} founded in 1871 or in 1912?"),
    "a price": _plain("Why does {} cost 1,299.00 today?"),
    "about passwords": _plain("Is a password better than a passkey on {}?"),
    "about mail": _plain("What does @ mean in the handle @{}?"),
    "a long number": _plain("Is 1234567890123 divisible by the number of {}?"),
    "a date": _plain("What happened to {} on 2024-05-17?"),
    "a version": _plain("Does {} 10.15.7 still get updates?"),
    "in Chinese": _plain("{}是谁写的？"),
    "a book": _plain("Who wrote {}, ISBN 978-3-16-148410-0?"),
}
"""Unlabelled questions that nobody needs to hold."""


def with_luhn(digits: str) -> str:
    """And the check digit of ISO/IEC 7812-1, annex B."""
    doubled = (int(digit) * (1 if place % 2 else 2) for place, digit in enumerate(reversed(digits)))
    return f"{digits}{-sum(value - 9 if value > 9 else value for value in doubled) % 10}"
