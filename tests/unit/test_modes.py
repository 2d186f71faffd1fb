"""The names of modes and variants."""

from __future__ import annotations

import pytest

from edgewise.errors import InvalidInput
from router.modes import MODES, has_sources, parse

CONTRACT = {
    "edge_only", "cloud_only", "pre_arbitration", "post_arbitration", "cloud_info_edge_rag", "agent", "auto",
}  # fmt: skip


def test_the_modes_are_those_of_the_contract() -> None:
    assert set(MODES) == CONTRACT
    assert all(mode.summary for mode in MODES.values())


@pytest.mark.parametrize("name", MODES)
def test_a_mode_and_each_of_its_variants_has_a_name(name: str) -> None:
    assert parse(name) == (name, frozenset())
    for option in MODES[name].options:
        assert parse(f"{name}+{option}") == (name, frozenset(option.split("+")))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", ("no mode", "edge_only")),
        ("gpt-4o", ("gpt-4o", "edge_only", "auto")),
        ("Edge_only", ("Edge_only",)),
        ("edge_only ", ("edge_only ",)),
        ("edge_only+", ("no variant", "rag")),
        ("edge_only+cascade", ("cascade", "rag")),
        ("auto+rag", ("rag", "none")),
        ("+rag", ("no mode",)),
        ("x" * 5000, ("no mode",)),
        ("edge_only+" + "x" * 5000, ("no variant",)),
        ("edge_only+rag+rag", ("no variant", "edge_only+rag")),
        ("edge_only+rag+cot", ("no variant",)),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(name: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(name)
    assert all(word in caught.value.message for word in words)
    assert len(caught.value.message) < 300


def test_only_what_looks_something_up_can_know_that_it_does_not_know() -> None:
    assert {name for name in MODES if has_sources(name)} == {"cloud_info_edge_rag", "agent", "auto"}
    assert has_sources("edge_only+rag")
    assert not has_sources("edge_only+cot")
