"""What a server says that it counted, held against what was seen."""

from __future__ import annotations

import pytest

from cloud.backends.usage import Seen, doubtful, impossible
from edge.openai_stream import Usage
from edgewise.types import Options, Sampling
from tests.backends import asking

SEEN = Seen(prompt_bytes=100, messages=1, characters=40, pieces=10, max_tokens=50)


def usage(prompt: int, completion: int, cached: int | None = None, reasoning: int | None = None) -> Usage:
    return Usage.model_validate(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
    )


@pytest.mark.parametrize(
    "said",
    [
        usage(30, 10),
        usage(100, 50),
        usage(600, 12),  # a template may be long
        usage(30, 10, cached=30),
        usage(30, 5000, reasoning=4990),  # reasoning is hidden, and beyond the limit where it is told apart
        usage(30, 50),
    ],
)
def test_what_can_be_true_is_believed(said: Usage) -> None:
    assert impossible(said, SEEN) == ""


@pytest.mark.parametrize(
    "said",
    [
        usage(0, 10),
        usage(30, 0),
        usage(700, 10),
        usage(2**31 - 1, 10),
        usage(30, 10, cached=31),
        usage(30, 500),
        usage(30, 10, reasoning=10),
        usage(30, 10, reasoning=11),
    ],
)
def test_what_cannot_is_not(said: Usage) -> None:
    assert impossible(said, SEEN)


def test_a_server_that_ignores_the_limit_may_count_what_it_wrote() -> None:
    assert not impossible(usage(30, 200), Seen(100, 1, 800, 200, max_tokens=50))


def test_no_text_may_have_no_tokens() -> None:
    assert not impossible(usage(30, 0), Seen(100, 1, 0, 0, max_tokens=50))


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (usage(30, 50), Seen(100, 1, characters=2, pieces=1, max_tokens=50)),
        (usage(30, 1), Seen(100, 1, characters=400, pieces=1, max_tokens=500)),
        (usage(30, 2), Seen(100, 1, characters=100, pieces=80, max_tokens=500)),
    ],
)
def test_what_is_odd_is_doubted_and_still_possible(said: Usage, seen: Seen) -> None:
    assert doubtful(said, seen)
    assert not impossible(said, seen)
    assert not doubtful(usage(30, 10), SEEN)


def test_bytes_are_counted_and_the_schema_with_them() -> None:
    seen = Seen.of(asking("漢字\ud800"), Options(response_schema="{}", sampling=Sampling(max_tokens=7)), 1, 1)
    assert (seen.prompt_bytes, seen.messages, seen.max_tokens) == (6 + 1 + 2, 1, 7)
