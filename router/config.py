"""The router's settings: `[router]` and `[privacy]` of `edgewise.toml`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from edgewise.settings import Section


class RouterSettings(Section):
    section: ClassVar[str] = "router"

    default_mode: str = Field(default="auto", description="The mode of a question that names none.")
    max_concurrent: int = Field(
        default=32, ge=1, le=1024, description="Questions answered at once; one more is refused."
    )
    max_tokens: int = Field(default=96, ge=1, le=8192, description="Length of an answer when the caller sets none.")
    history_turns: int = Field(default=8, ge=0, le=100, description="Earlier turns that a prompt repeats at the most.")
    passages: int = Field(default=4, ge=1, le=20, description="Passages looked up for one question.")
    rewrite: Literal["off", "edge", "cloud"] = Field(
        default="off",
        description="Who turns a question into search queries, its earlier turns included: nobody, the edge, or the "
        "cloud where the question may leave.",
    )
    expand: Literal["", "window", "section"] = Field(
        default="", description="What is read around a passage: nothing, a sentence on each side, or what joins it."
    )
    quote: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Probability from which on words of a passage are given as the answer, and none is written.",
    )
    sentences: int = Field(default=6, ge=1, le=40, description="Sentences of those passages that a prompt shows.")
    answerable: float = Field(
        default=0.12,
        ge=0,
        le=1,
        description="Probability that what was looked up holds the answer, from which on the edge answers from it.",
    )
    relevance: float = Field(
        default=0.03, ge=0, le=1, description="Probability of being relevant below which a passage is left out."
    )
    gain_threshold: float = Field(
        default=0.5, ge=0, le=1, description="pre_arbitration asks the cloud from this predicted gain on."
    )
    trust_threshold: float = Field(
        default=0.5, ge=0, le=1, description="Trust from which post_arbitration keeps an answer of the edge."
    )
    own_knowledge: float = Field(
        default=0.5, ge=0, le=1, description="Trust from which the edge answers without any source, and says so."
    )
    agent_steps: int = Field(default=5, ge=1, le=20, description="Tool calls that the agent may make for one question.")
    agent_s: float = Field(default=30, gt=0, le=600, description="Seconds after which the agent calls no further tool.")
    stop_grace_s: float = Field(default=10, ge=0, le=300, description="Time that running answers get when stopping.")


class PrivacySettings(Section):
    section: ClassVar[str] = "privacy"

    unknown: Literal["allow", "hold"] = Field(
        default="allow",
        description="A question without a label: `allow` lets it leave when no detector objects, `hold` never does.",
    )
