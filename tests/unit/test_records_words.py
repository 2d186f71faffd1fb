"""What `edgewise log` says of a record: what its price stands on, and whether anybody saw it."""

from __future__ import annotations

from edgewise.types import CostBasis
from router.cli.records import lines_of
from tests.logs import record


def test_a_price_says_what_it_stands_on() -> None:
    said = list(
        lines_of(
            (
                record("a", author="cloud", cost_usd=0.0001, cost_basis=CostBasis.NOTIONAL),
                record("b", author="edge", cost_usd=0.0),
                record("c", author="cloud", cost_usd=None),
            )
        )
    )
    assert "$0.000100 (notional)" in said[0]
    assert "$0.000000 ·" in said[2]
    assert "cost unknown" in said[4]
    assert said[-1] == "3 of 3 ungraded"


def test_what_an_app_asked_is_told_from_what_its_owner_did() -> None:
    lines = list(lines_of((record("a", app="notes"), record("b"))))
    assert lines[0].endswith(" · for notes")
    assert "for" not in lines[2].split()


def test_a_shadow_is_told_from_what_somebody_asked() -> None:
    asked, shadow = record("a"), record("b", shadow_of="a")
    lines = list(lines_of((asked, shadow)))
    assert "shadow" not in lines[0]
    assert lines[2].endswith("shadow, shown to nobody")
