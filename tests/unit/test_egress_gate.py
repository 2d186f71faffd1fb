"""What may leave the device: labels, then the policy, then detectors; and one door through which it leaves."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.errors import (
    CloudUnavailable,
    ContextOverflow,
    DeadlineExceeded,
    EdgewiseError,
    Internal,
    NotReady,
    Overloaded,
    Unauthenticated,
    Withheld,
)
from edgewise.types import Message, Options, Privacy, Prompt, Query, Text
from router.egress import Gated, Policy
from tests.boundaries import ALLOWING
from tests.sides import FakeCloud, Say

ROOT = Path(__file__).resolve().parents[2]
CARD = "4111 1111 1111 1111"
LABELS = st.sampled_from([Privacy.PUBLIC, Privacy.UNKNOWN, Privacy.PRIVATE])


@pytest.mark.parametrize(
    ("unknown", "label", "text", "may_leave"),
    [
        ("allow", Privacy.PUBLIC, "plain", True),
        ("allow", Privacy.PUBLIC, CARD, True),  # who says public means it
        ("allow", Privacy.UNKNOWN, "plain", True),
        ("allow", Privacy.UNKNOWN, CARD, False),
        ("allow", Privacy.PRIVATE, "plain", False),
        ("hold", Privacy.PUBLIC, "plain", True),
        ("hold", Privacy.UNKNOWN, "plain", False),
        ("hold", Privacy.PRIVATE, "plain", False),
    ],
)
def test_the_policy(unknown: str, label: Privacy, text: str, may_leave: bool) -> None:
    reason = Policy("hold" if unknown == "hold" else "allow").held_because(Text(value=text, label=label))
    assert (reason is None) is may_leave
    assert reason is None or CARD not in reason


@given(LABELS, st.text(max_size=20))
def test_what_is_held_stays_held_when_it_is_joined_to_anything_public(label: Privacy, value: str) -> None:
    policy = Policy("allow")
    text = Text(value=value, label=label)
    if label is Privacy.PRIVATE:
        assert policy.held_because(Text.join((Text.ours("before "), text, Text.ours(" after"))))
    assert Policy("hold").held_because(text) or policy.held_because(text) is None


def prompt(*texts: Text) -> Prompt:
    return Prompt(messages=tuple(Message(role="user", content=text) for text in texts))


async def generated(gated: Gated, asked: Prompt) -> str:
    async with aclosing(gated.generate(asked, Options())) as parts:
        return "".join([part.text async for part in parts if hasattr(part, "text")])


SECRET = Text(value="my salary", label=Privacy.PRIVATE)


@pytest.mark.parametrize(
    "asked",
    [
        prompt(SECRET),
        prompt(Text.ours("hello"), SECRET, Text.ours("bye")),
        prompt(Text.join((Text.ours("facts: "), SECRET))),
        prompt(SECRET.derive("a summary of it")),
        prompt(Text.ours("hello"), Text(value=f"card {CARD}")),
    ],
)
def test_the_gate_lets_nothing_private_generate(asked: Prompt) -> None:
    async def main() -> None:
        cloud = FakeCloud(Say("never"))
        with pytest.raises(Withheld, match="edge_only") as caught:
            await generated(Gated(cloud, ALLOWING), asked)
        assert cloud.saw_nothing
        assert "salary" not in caught.value.message
        assert CARD not in caught.value.message

    asyncio.run(main())


def test_the_gate_lets_nothing_private_be_looked_up() -> None:
    async def main() -> None:
        cloud = FakeCloud(Say("never"))
        with pytest.raises(Withheld):
            await Gated(cloud, ALLOWING).retrieve(Query(text=SECRET))
        assert cloud.saw_nothing

    asyncio.run(main())


def test_the_gate_passes_on_what_was_released_unchanged() -> None:
    async def main() -> None:
        cloud = FakeCloud(Say("of course"))
        gated, asked, query = Gated(cloud, ALLOWING), prompt(Text(value="plain")), Query(text=Text.ours("plain"))
        assert await generated(gated, asked) == "of course"
        await gated.retrieve(query)
        assert cloud.prompts == [asked]
        assert cloud.queries == [query]

    asyncio.run(main())


Call = Callable[[Gated], object]


@pytest.mark.parametrize("fault", [DeadlineExceeded, Internal, NotReady, Overloaded, Unauthenticated])
def test_every_inability_of_the_cloud_looks_the_same_from_here(fault: type[EdgewiseError]) -> None:
    async def main() -> None:
        cloud = FakeCloud(Say("never"))
        cloud.down = fault("no", retry_after_s=3)
        gated = Gated(cloud, ALLOWING)
        calls = (
            generated(gated, prompt(Text.ours("hi"))),
            gated.retrieve(Query(text=Text.ours("hi"))),
            gated.status(),
        )
        for call in calls:
            with pytest.raises(CloudUnavailable) as caught:
                await call
            assert caught.value.retry_after_s == 3

    asyncio.run(main())


def test_a_fault_of_the_request_keeps_its_name() -> None:
    async def main() -> None:
        cloud = FakeCloud(Say("never"))
        cloud.down = ContextOverflow("too long")
        with pytest.raises(ContextOverflow):
            await generated(Gated(cloud, ALLOWING), prompt(Text.ours("hi")))

    asyncio.run(main())


def test_only_the_gate_and_the_gateways_front_door_release_anything() -> None:
    makers = set()
    for folder in ("edge", "cloud", "router", "protos/edgewise"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if any(isinstance(node, ast.Call) and _is_released(node.func) for node in ast.walk(tree)):
                makers.add(str(path.relative_to(ROOT)))
    assert makers == {"router/egress/gate.py", "cloud/server.py"}


def _is_released(called: ast.expr) -> bool:
    match called:
        case ast.Name(id="Released") | ast.Attribute(attr="Released"):
            return True
        case ast.Subscript(value=value):
            return _is_released(value)
    return False
