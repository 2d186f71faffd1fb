"""The router's settings: `[router]` and `[privacy]` of `edgewise.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

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
        default=0.5,
        ge=-1,
        le=1,
        description="pre_arbitration asks the cloud where it is expected to be right so much more often.",
    )
    unfamiliar_gain_threshold: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="The same for a question unlike all that was learned from: its expected gain is a guess.",
    )
    trust_threshold: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Probability of being right from which post_arbitration keeps an answer of the edge.",
    )
    wrong_at_most: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="In the place of trust_threshold: the share of wrong ones among the answers kept on the edge that "
        "is promised. If nothing can be promised, none is kept.",
    )
    confidence: float = Field(
        default=0.95, gt=0, lt=1, description="How sure that promise is, over draws of the graded answers."
    )
    cloud_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="In the place of the thresholds: the share of questions like the graded ones that the cloud gets.",
    )
    usd_per_error: float | None = Field(
        default=None,
        ge=0,
        description="In the place of the thresholds: what a wrong answer costs you; the cloud where that is more than "
        "its price.",
    )
    usd_per_question: float | None = Field(
        default=None,
        ge=0,
        description="In the place of the thresholds: the mean cost of a question that is never exceeded.",
    )
    edge_price: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="pre_arbitration+cascade writes no draft that is expected to save the cloud less than this share "
        "of a question.",
    )
    samples: int = Field(
        default=0,
        ge=0,
        le=8,
        description="Answers that the edge draws at random beside its own, to see whether they agree: trust costs so "
        "many answers more.",
    )
    judge: bool = Field(
        default=False,
        description="Whether the cloud judges between two answers that disagree (post_arbitration), for its price.",
    )
    own_knowledge: float = Field(
        default=0.5, ge=0, le=1, description="Trust from which the edge answers without any source, and says so."
    )
    agent_steps: int = Field(default=5, ge=1, le=20, description="Tool calls that the agent may make for one question.")
    agent_s: float = Field(default=30, gt=0, le=600, description="Seconds after which the agent calls no further tool.")
    stop_grace_s: float = Field(default=10, ge=0, le=300, description="Time that running answers get when stopping.")

    http_hosts: tuple[str, ...] = Field(
        default=(),
        description="Further names under which the HTTP door may be asked, such as that of a container; it always "
        "answers to 127.0.0.1, localhost and [::1].",
    )

    records_url: str = Field(
        default="",
        description="Where records are kept: postgresql://USER@HOST/DATABASE, or a sqlite:////PATH; empty is SQLite in "
        "the data directory. A database on another machine gets the content of public records only, and TLS unless "
        "?sslmode= says otherwise.",
    )
    records_password_file: Path | None = Field(
        default=None, description="File with the password of that database; else PGPASSWORD in the environment."
    )
    keep_days: float | None = Field(
        default=None, gt=0, le=36_500, description="Days after which a record is removed; without, never."
    )
    keep_records: int | None = Field(
        default=None, ge=1, description="Records that are kept, the newest ones; without, all of them."
    )

    @property
    def apart(self) -> RouterSettings:
        """What decides about questions, without where and for how long this device keeps their records."""
        own = {"records_url": "", "records_password_file": None, "keep_days": None, "keep_records": None}
        return self.model_copy(update=own)

    @model_validator(mode="after")
    def _one_wish(self) -> Self:
        wishes = ("cloud_share", "usd_per_error", "usd_per_question")
        given = [name for name in wishes if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other; set one of {', '.join(wishes)}")
        return self


class PrivacySettings(Section):
    section: ClassVar[str] = "privacy"

    unknown: Literal["allow", "hold"] = Field(
        default="allow",
        description="A question without a label: `allow` lets it leave when no detector objects, `hold` never does.",
    )
    presidio: bool = Field(
        default=False,
        description="Let Presidio object, too: it also finds names of persons. It must be installed "
        "(pip install 'edgewise[privacy]').",
    )
