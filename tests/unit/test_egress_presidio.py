"""The adapter to Presidio, which is not installed here: its analyzer is a fake, and so nothing is said of Presidio."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from edgewise.errors import NotReady
from edgewise.types import Privacy, Text
from router.egress import Policy
from router.egress.detectors import Structural
from router.egress.detectors.presidio import Presidio


@dataclass(frozen=True, slots=True)
class Found:
    entity_type: str
    score: float


class FakeAnalyzer:
    def __init__(self, *found: Found) -> None:
        self.found = found
        self.threads: list[threading.Thread] = []

    def analyze(self, text: str, language: str) -> Sequence[Found]:
        self.threads.append(threading.current_thread())
        return self.found if "Ada" in text else ()


ADA = Text(value="Where does Ada live?")


@pytest.mark.parametrize(
    ("found", "is_held"),
    [
        ((Found("PERSON", 0.85),), True),
        ((Found("PERSON", 0.3),), False),
        ((Found("LOCATION", 0.9), Found("DATE_TIME", 0.9)), False),
        ((Found("LOCATION", 0.9), Found("US_PASSPORT", 0.6)), True),
        ((), False),
    ],
)
def test_it_can_only_tighten(found: tuple[Found, ...], is_held: bool) -> None:
    policy = Policy("allow", (Structural(), Presidio(FakeAnalyzer(*found))))
    reason = policy.held_because(ADA)
    assert (reason is not None) is is_held
    assert reason is None or "Ada" not in reason
    assert policy.held_because(Text(value="my card is 4111 1111 1111 1111"))
    assert policy.held_because(ADA.model_copy(update={"label": Privacy.PRIVATE}))
    assert policy.held_because(ADA.model_copy(update={"label": Privacy.PUBLIC})) is None
    assert "presidio" in policy.version


def test_the_loop_does_not_wait_for_it() -> None:
    analyzer = FakeAnalyzer(Found("PERSON", 1.0))
    assert asyncio.run(Policy("allow", (Structural(), Presidio(analyzer))).held([ADA]))
    assert analyzer.threads != [threading.main_thread()]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(NotReady, match=r"pip install 'edgewise\[privacy\]'"):
        Presidio.open()
