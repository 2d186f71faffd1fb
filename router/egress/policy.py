"""What may leave the device: labels first, then the policy for unlabelled texts, then detectors.

Detectors can only tighten: silence of a detector never releases a private text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from edgewise.types import Privacy, Text
from router.egress.detectors import VERSION, Detector, Structural

Unknown = Literal["allow", "hold"]
_AT_ONCE = 10_000  # characters: some milliseconds


class Policy:
    """`privacy.unknown` of the settings, and the detectors that unlabelled texts must pass."""

    def __init__(self, unknown: Unknown, detectors: Sequence[Detector] = (Structural(),)) -> None:
        self.unknown: Unknown = unknown
        self._detectors = tuple(detectors)

    @property
    def version(self) -> str:
        """Of what decides, as audit rows have it."""
        if self.unknown == "hold":
            return "hold"
        return ", ".join(("allow", *(f"{one.name} {VERSION}" for one in self._detectors)))

    @property
    def in_words(self) -> str:
        if self.unknown == "hold":
            return "only questions labelled public may leave the device"
        others = [one.name for one in self._detectors if one.name != Structural.name]
        who = " or ".join(("a detector", *others))
        return f"unlabelled questions may leave the device unless {who} objects; private ones never do"

    def releases(self, label: Privacy) -> str:
        """Why a text of this label that was not held may leave."""
        return "labelled public" if label is Privacy.PUBLIC else "not labelled, and no detector objects"

    def held_because(self, text: Text) -> str | None:
        """Why a text may not leave the device; None when it may."""
        if text.label is Privacy.PRIVATE:
            return "it is private or derived from something private"
        if text.label is Privacy.PUBLIC:
            return None
        if self.unknown == "hold":
            return "it is not labelled public, and privacy.unknown is `hold`"
        return self._objection(text)

    async def held(self, texts: Iterable[Text]) -> str | None:
        """The same of the first of several that may not leave; what takes long is done on another thread."""
        return await self._soon(self._first_held, tuple(texts))

    async def objection(self, text: Text) -> str | None:
        """What a detector has against an unlabelled text, whatever the policy is; others have their label."""
        if text.label is not Privacy.UNKNOWN:
            return None
        return await self._soon(lambda texts: self._objection(texts[0]), (text,))

    async def _soon(self, look: Callable[[tuple[Text, ...]], str | None], texts: tuple[Text, ...]) -> str | None:
        if sum(len(text.value) for text in texts) <= _AT_ONCE and not any(one.takes_long for one in self._detectors):
            return look(texts)
        return await asyncio.to_thread(look, texts)

    def _objection(self, text: Text) -> str | None:
        found = next(filter(None, (one.look(text.value) for one in self._detectors)), None)
        return f"it seems to hold {found}, and it is not labelled public" if found else None

    def _first_held(self, texts: Sequence[Text]) -> str | None:
        return next(filter(None, map(self.held_because, texts)), None)
