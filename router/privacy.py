"""What may leave the device. Labels come first, then the policy for unlabelled texts, then detectors.

Detectors can only tighten: silence of a detector never releases a private text. `Gated` is the one way from a mode to
the cloud, and the only code besides the gateway's own front door that makes a `Released` (a test holds that).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Literal

from edgewise.errors import (
    CloudUnavailable,
    DeadlineExceeded,
    EdgewiseError,
    Internal,
    NotReady,
    Overloaded,
    Unauthenticated,
    Withheld,
)
from edgewise.ports import Cloud
from edgewise.types import Chunk, Completion, Findings, Options, Privacy, Prompt, Query, Released, SideStatus, Text

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])")
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abprs])[-_][A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\b(?:password|passwd|passphrase)\s*(?:is|[:=])\s*\S+",
    re.IGNORECASE,
)
# Inabilities of the far side, whatever form they take: a mode sees them all as "the cloud cannot be used now".
_FAULTS_OF_THE_CLOUD = (DeadlineExceeded, Internal, NotReady, Overloaded, Unauthenticated)


def detect(text: str) -> str | None:
    """What looks private in a text, in words; None if nothing does."""
    if _SECRET.search(text):
        return "a key or password"
    if any(_luhn(re.sub(r"\D", "", match.group())) for match in _CARD.finditer(text)):
        return "a card number"
    if _EMAIL.search(text):
        return "an e-mail address"
    return None


def _luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


class Policy:
    """Decides what an unlabelled text may do; `privacy.unknown` of the settings."""

    def __init__(self, unknown: Literal["allow", "hold"]) -> None:
        self.unknown = unknown

    @property
    def in_words(self) -> str:
        return {
            "allow": "unlabelled questions may leave the device unless a detector objects; private ones never do",
            "hold": "only questions labelled public may leave the device",
        }[self.unknown]

    def held_because(self, text: Text) -> str | None:
        """Why a text may not leave the device; None when it may."""
        if text.label is Privacy.PRIVATE:
            return "it is private or derived from something private"
        if text.label is Privacy.PUBLIC:
            return None
        if self.unknown == "hold":
            return "it is not labelled public, and privacy.unknown is `hold`"
        found = detect(text.value)
        return f"it seems to hold {found}, and it is not labelled public" if found else None


class Gated:
    """The cloud as a mode sees it: a side that takes plain prompts and lets out only what the policy releases."""

    def __init__(self, cloud: Cloud, policy: Policy) -> None:
        self._cloud = cloud
        self._policy = policy

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        self._check(message.content for message in prompt.messages)
        try:
            async with aclosing(self._cloud.generate(Released(prompt), options)) as parts:
                async for part in parts:
                    yield part
        except EdgewiseError as error:
            raise _seen_from_here(error) from None

    async def retrieve(self, query: Query) -> Findings:
        self._check((query.text,))
        try:
            return await self._cloud.retrieve(Released(query))
        except EdgewiseError as error:
            raise _seen_from_here(error) from None

    async def status(self) -> SideStatus:
        try:
            return await self._cloud.status()
        except EdgewiseError as error:
            raise _seen_from_here(error) from None

    def _check(self, texts: Iterable[Text]) -> None:
        for text in texts:
            reason = self._policy.held_because(text)
            if reason:
                raise Withheld(
                    f"not sent to the cloud: {reason}. Ask in a mode that stays on the device (edge_only), "
                    "or label the question public if it may leave"
                )


def _seen_from_here(error: EdgewiseError) -> EdgewiseError:
    if isinstance(error, _FAULTS_OF_THE_CLOUD):
        return CloudUnavailable(error.message, retry_after_s=error.retry_after_s)
    return error
