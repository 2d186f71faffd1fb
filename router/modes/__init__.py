"""The modes, one file each. To add one: write its file, and its line here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edgewise.errors import InvalidInput
from edgewise.types import Question
from router.desk import Desk, Foreseen, Outcome
from router.modes import (
    agent,
    auto,
    cloud_info_edge_rag,
    cloud_only,
    edge_only,
    post_arbitration,
    pre_arbitration,
)


@dataclass(frozen=True, slots=True)
class Mode:
    """Each of `options` makes a variant, `mode+option`. A mode with `sources` can know that it does not know."""

    answer: Callable[[Question, Desk], Awaitable[Outcome]]
    foresee: Callable[[Question, Desk], Awaitable[Foreseen]]
    summary: str
    options: tuple[str, ...] = ()
    sources: bool = False


MODES: dict[str, Mode] = {
    "edge_only": Mode(
        edge_only.answer,
        edge_only.foresee,
        "the small model on this device answers",
        ("rag", "long_context", "rag+long_context", "cot"),
    ),
    "cloud_only": Mode(cloud_only.answer, cloud_only.foresee, "the large model in the cloud answers", ("rag", "cot")),
    "pre_arbitration": Mode(
        pre_arbitration.answer,
        pre_arbitration.foresee,
        "decide from the question who answers, before anything is written",
        ("cascade",),
    ),
    "post_arbitration": Mode(
        post_arbitration.answer, post_arbitration.foresee, "both answer at once, then one answer is kept", ("cascade",)
    ),
    "cloud_info_edge_rag": Mode(
        cloud_info_edge_rag.answer, cloud_info_edge_rag.foresee, "the cloud informs, the edge writes", sources=True
    ),
    "agent": Mode(agent.answer, agent.foresee, "the edge works with tools, cloud information among them", sources=True),
    "auto": Mode(auto.answer, auto.foresee, "picks a mode for the question", sources=True),
}
VARIANTS = tuple(name for mode, info in MODES.items() for name in (mode, *(f"{mode}+{one}" for one in info.options)))
"""All that a question may name."""


def parse(name: str) -> tuple[str, frozenset[str]]:
    """`post_arbitration+cascade` -> its mode and options; InvalidInput lists what there is."""
    mode, *options = name.split("+")
    if mode not in MODES:
        raise InvalidInput(f"there is no mode `{mode[:60]}`; there are {', '.join(MODES)}")
    variant = "+".join(options)
    if options and variant not in MODES[mode].options:
        known = ", ".join(f"{mode}+{option}" for option in MODES[mode].options) or "none"
        raise InvalidInput(f"{mode} has no variant `{variant[:60]}`; there are: {known}")
    return mode, frozenset(options)


def has_sources(name: str) -> bool:
    """Whether a mode or variant looks anything up, so that it can abstain."""
    mode, options = parse(name)
    return MODES[mode].sources or bool({"rag", "long_context"} & options)
