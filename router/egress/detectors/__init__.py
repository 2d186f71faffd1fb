"""What looks private in a text that nobody labelled. A detector can only tighten."""

from __future__ import annotations

from typing import Protocol

from router.egress.detectors.structural import VERSION as VERSION
from router.egress.detectors.structural import Structural as Structural


class Detector(Protocol):
    """`takes_long`: it blocks for so long that it belongs on a thread of its own."""

    name: str
    takes_long: bool

    def look(self, text: str) -> str | None:
        """What seems private, in words that repeat none of it; None if nothing does."""
        ...
