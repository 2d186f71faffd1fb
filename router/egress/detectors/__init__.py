"""What looks private in a text that nobody labelled. A detector can only tighten.

They see what people type by mistake: secrets and numbers in the forms that are common, also in full-width characters,
with look-alike letters, invisible characters or separators in them. Not seen is what somebody hides on purpose: encoded
(base64 of a key), spelt out in words, split over several messages, in a picture.
"""

from __future__ import annotations

from typing import Protocol

from router.egress.detectors.structural import VERSION as VERSION
from router.egress.detectors.structural import Structural as Structural


class Detector(Protocol):
    name: str

    def look(self, text: str) -> str | None:
        """What seems private, in words that repeat none of it; None if nothing does."""
        ...
