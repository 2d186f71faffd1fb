"""What the research note predicts for each kind of mode, in its own words, to be shown beside what was measured."""

from __future__ import annotations

from edgewise.types import Value
from router.compare.rows import WARM


class Prediction(Value):
    column: str
    accuracy: str
    cost: str
    latency: str
    self_improve: str


_KNOWLEDGE = "from pre-trained knowledge: may be out of date; hallucination without a credible source"
_CEILING = "you don't know what you don't know; ceiling: the cloud LLM"
_LLM = "LLM only (edge or cloud)"

_NOTE = {
    "edge_only": Prediction(column=_LLM, accuracy=_KNOWLEDGE, cost="low", latency="fast", self_improve=_CEILING),
    "cloud_only": Prediction(column=_LLM, accuracy=_KNOWLEDGE, cost="high", latency="slow", self_improve=_CEILING),
    "post_arbitration": Prediction(
        column="post-arbitration",
        accuracy="the two weaknesses of an LLM alone",
        cost="high",
        latency="fast",
        self_improve="yes: cloud LLM fine-tunes edge LLM",
    ),
    "pre_arbitration": Prediction(
        column="pre-arbitration",
        accuracy="worst: edge error + cloud error",
        cost="medium",
        latency="fast",
        self_improve="maybe",
    ),
    "cloud_info_edge_rag": Prediction(
        column="cloud info + edge RAG", accuracy="high", cost="low", latency="slow?", self_improve="yes"
    ),
    "agent": Prediction(
        column="cloud info + edge agent", accuracy="medium-high", cost="medium", latency="slow", self_improve="maybe"
    ),
}


def prediction(mode: str) -> Prediction | None:
    """The note's column for a mode or a variant of it; None for what it lacks: `auto`, or one model with documents."""
    name, *options = mode.removesuffix(WARM).split("+")
    return None if {"rag", "long_context"} & {*options} else _NOTE.get(name)


def in_order_of_the_note(modes: list[str]) -> list[str]:
    """The modes as the note's table has them, what it does not have last; `MODE (warm)` where MODE is."""
    order = list(_NOTE)

    def place(mode: str) -> int:
        name = mode.removesuffix(WARM).partition("+")[0]
        return order.index(name) if name in order else len(order)

    return sorted(modes, key=place)
