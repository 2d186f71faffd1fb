"""Labels and sources survive whatever is made of a text."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgewise.types import Message, Privacy, Prompt, Text

LABELS = (Privacy.PUBLIC, Privacy.UNKNOWN, Privacy.PRIVATE)
texts = st.builds(
    Text,
    value=st.text(max_size=8),
    label=st.sampled_from(LABELS),
    sources=st.lists(st.sampled_from(["a", "b", "c"]), max_size=3).map(tuple),
)


@pytest.mark.parametrize(("one", "other"), [*itertools.product(range(3), repeat=2)])
def test_the_tightest_label_wins(one: int, other: int) -> None:
    assert Privacy.tightest((LABELS[one], LABELS[other])) is LABELS[max(one, other)]


def test_nothing_at_all_is_public() -> None:
    assert Privacy.tightest(()) is Privacy.PUBLIC
    assert Text.join(()) == Text.ours("")


@given(st.lists(texts, max_size=5), st.text(max_size=2))
def test_a_joined_text_has_all_values_the_tightest_label_and_every_source_once(
    parts: list[Text], separator: str
) -> None:
    joined = Text.join(iter(parts), separator)
    assert joined.value == separator.join(part.value for part in parts)
    assert joined.label is Privacy.tightest(part.label for part in parts)
    assert set(joined.sources) == {source for part in parts for source in part.sources}
    assert len(joined.sources) == len(set(joined.sources))


@given(texts, st.text(max_size=8))
def test_a_derived_text_keeps_label_and_sources(text: Text, value: str) -> None:
    derived = text.derive(value)
    assert (derived.value, derived.label, derived.sources) == (value, text.label, text.sources)


@given(st.lists(texts, min_size=1, max_size=4))
def test_a_prompt_is_as_private_as_its_most_private_message(parts: list[Text]) -> None:
    prompt = Prompt(messages=tuple(Message(role="user", content=part) for part in parts))
    assert prompt.label is Text.join(parts).label


def test_a_label_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Text(value="mine", label=Privacy.PRIVATE).label = Privacy.PUBLIC  # type: ignore[misc]  # what must fail


def test_a_prompt_has_a_message() -> None:
    with pytest.raises(ValidationError, match="at least 1"):
        Prompt(messages=())
