"""The values that cross a seam: frozen, typed, and unknown is None, never 0.

Each one with a namesake in `edgewise/v1/*.proto` has the same fields there; `wire.py` converts by name.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, field_validator

from edgewise.experiments import Arm as Arm
from edgewise.experiments import ArmDifference as ArmDifference
from edgewise.experiments import ArmFigures as ArmFigures
from edgewise.experiments import Experiment as Experiment
from edgewise.experiments import ExperimentStatus as ExperimentStatus
from edgewise.experiments import Skipped as Skipped
from edgewise.explanations import Explanation as Explanation
from edgewise.explanations import Outgoing as Outgoing
from edgewise.forgetting import Forgotten as Forgotten
from edgewise.forgetting import Unwanted as Unwanted
from edgewise.knowledge import CLOUD_INFO as CLOUD_INFO
from edgewise.knowledge import Author as Author
from edgewise.knowledge import CostBasis as CostBasis
from edgewise.knowledge import Document as Document
from edgewise.knowledge import Expand as Expand
from edgewise.knowledge import Findings as Findings
from edgewise.knowledge import Ingested as Ingested
from edgewise.knowledge import Passage as Passage
from edgewise.knowledge import Query as Query
from edgewise.knowledge import Quote as Quote
from edgewise.knowledge import Reading as Reading
from edgewise.knowledge import Span as Span
from edgewise.knowledge import Upload as Upload
from edgewise.knowledge import Via as Via
from edgewise.knowledge import cloud_info as cloud_info
from edgewise.texts import Message as Message
from edgewise.texts import Privacy as Privacy
from edgewise.texts import Prompt as Prompt
from edgewise.texts import Released as Released
from edgewise.texts import Text as Text
from edgewise.texts import Turn as Turn
from edgewise.texts import Value as Value

FinishReason = Literal["stop", "length"]


# --- generating -------------------------------------------------------------------------------------------------------


class Sampling(Value):
    """How to draw tokens. The default is greedy; `seed` None means a fresh seed, `top_k` 0 means no limit."""

    max_tokens: int = Field(default=256, ge=1, le=32_768)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=0, ge=0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repeat_penalty: float = Field(default=1.0, ge=0.5, le=2.0)
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    stop: tuple[str, ...] = Field(default=(), max_length=8)


class Options(Value):
    """How to generate, and under which keys.

    A side may reuse what it has cached (KV entries, say) only between calls of one `cache_key`; that keeps the modes of
    a comparison from helping each other. A replay looks a recording up by `question_id` or `question_hash`.

    The answer obeys `response_schema`, a JSON Schema as text, or `grammar`, a GBNF grammar; not both. `adapter` names a
    LoRA that the edge has, or `none`; empty, it is the one that the edge has loaded. `timeout_s` counts from the call,
    waiting included. `surprisal` asks for `Completion.prompt_surprisal`. A side that cannot do what is asked refuses.
    """

    sampling: Sampling = Sampling()
    cache_key: str = ""
    question_id: str = ""
    question_hash: str = ""
    priority: Literal["interactive", "batch"] = "interactive"
    timeout_s: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    response_schema: str = Field(default="", max_length=65_536)
    grammar: str = Field(default="", max_length=65_536)
    adapter: str = Field(default="", max_length=100)
    surprisal: bool = False

    @field_validator("priority", mode="before")
    @classmethod
    def _unset_is_interactive(cls, priority: object) -> object:
        return priority or "interactive"


class Tokens(Value):
    """Token counts of one side. `cached_tokens` are the prompt tokens whose KV entries were already there."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
        )


class Timings(Value):
    """Seconds as the side measured them: waiting for a turn, evaluating the prompt, generating."""

    queue_s: float | None = None
    prompt_s: float | None = None
    decode_s: float | None = None


class Chunk(Value):
    """Some generated text, and of each token in it what the backend knows (nothing, if it gives nothing).

    `logprobs` are natural-log probabilities, `entropies` those of the whole distribution in nats, `margins` the
    difference between the log-probabilities of the two likeliest tokens: all before temperature and grammar.
    """

    text: str
    logprobs: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()
    margins: tuple[float, ...] = ()


class Completion(Value):
    """The end of a generation. `flops` is 2 x parameters x tokens, None where the parameter count is unknown.

    `prompt_surprisal` is the mean negative log-probability, in nats a token, of the last message's text. `via` says
    how the answer came about if the side's first upstream was not asked for it: by a `fallback`, out of the `cache`,
    which costs nothing, or `repeated` for an idempotency key, with the cost that it had when it was given first.
    """

    finish_reason: FinishReason
    tokens: Tokens
    timings: Timings = Timings()
    model: str
    model_hash: str | None = None
    cost_usd: float | None = None
    cost_basis: CostBasis | None = None
    flops: float | None = None
    adapter: str = ""
    prompt_surprisal: float | None = None
    via: Via = ""


class Scores(Value):
    """The sum of the natural-log probabilities of each continuation's tokens, and what it took to find out."""

    logprobs: tuple[float, ...]
    tokens: Tokens = Tokens()
    flops: float | None = None


class SideStatus(Value):
    """What a side is and how it does. `label` says in words what answers (a stand-in calls itself one).

    `capabilities` are what it can do beyond generating: logprobs, score, tokenize, grammar, adapters, surprisal.
    `restarts` counts how often it has died and was started again, the last time because of `reason`.
    `max_document_bytes` is the size of the largest file that it ingests. `usd_per_fetch` is the most that one look-up
    of information may cost; None is unknown. `embedder_hash` is that of the model behind `embed`.
    """

    ready: bool
    model: str = ""
    model_hash: str | None = None
    label: str = ""
    context_tokens: int | None = None
    parameters: float | None = None
    documents: int = 0
    passages: int = 0
    queued: int = 0
    running: int = 0
    usd_per_mtok_prompt: float | None = None
    usd_per_mtok_completion: float | None = None
    cost_basis: CostBasis | None = None
    reason: str = ""
    capabilities: tuple[str, ...] = ()
    adapter: str = ""
    adapters: tuple[str, ...] = ()
    restarts: int = 0
    max_document_bytes: int | None = None
    usd_per_fetch: float | None = None
    embedder_hash: str | None = None

    def most_usd(self, prompt: Prompt, max_tokens: int) -> float | None:
        """The most that a generation may cost; None when a price is unknown.

        That is a token for every two bytes of the prompt, and every token that the answer may have.
        """
        if self.usd_per_mtok_prompt is None or self.usd_per_mtok_completion is None:
            return None
        prompt_bytes = sum(len(message.content.value.encode("utf-8", "replace")) for message in prompt.messages)
        return (prompt_bytes / 2 * self.usd_per_mtok_prompt + max_tokens * self.usd_per_mtok_completion) / 1e6


# --- asking -----------------------------------------------------------------------------------------------------------


class Question(Value):
    """One request to the router. An empty `mode` is the configured default, an empty `request_id` gets one."""

    text: str
    request_id: str = Field(default="", max_length=200)
    history: tuple[Turn, ...] = ()
    conversation_id: str = Field(default="", max_length=200)
    mode: str = ""
    user_id: str = Field(default="", max_length=200)
    privacy: Privacy = Privacy.UNKNOWN
    max_cost_usd: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    max_latency_s: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    hold: bool = False
    collections: tuple[str, ...] = ()
    response_schema: str = Field(default="", max_length=65_536)
    sampling: Sampling | None = None


class Grounding(StrEnum):
    """Where an answer stands: on passages, on the model's own knowledge (it says so), or nowhere: none was given."""

    GROUNDED = "GROUNDED"
    OWN_KNOWLEDGE = "OWN_KNOWLEDGE"
    ABSTAINED = "ABSTAINED"


class Token(Value):
    """A piece of the answer `answer_id`, to show at once."""

    answer_id: str
    author: Author
    text: str


class Step(Value):
    """Something that was decided or done, where, and the numbers it stands on."""

    id: str
    parent: str = ""
    name: str
    where: Literal["edge", "cloud", "router"] = "router"
    detail: str = ""
    numbers: dict[str, float] = Field(default_factory=dict)


class Citations(Value):
    """The passages that the answer stands on."""

    answer_id: str
    passages: tuple[Passage, ...]


class Retraction(Value):
    """Forget the tokens of `answer_id`: a better answer follows."""

    answer_id: str
    reason: str


class Usage(Value):
    """Tokens of both sides, discarded drafts included."""

    edge: Tokens = Tokens()
    cloud: Tokens = Tokens()


class Done(Value):
    """The end of an answer.

    `cost_usd` is what the cloud calls cost, plus the edge's time where the operator gave it a rate; None when unknown.
    `first_shown_s` is when the first token of any draft went out, `first_kept_s` the first of the answer that stayed.
    """

    answer_id: str
    record_id: str
    mode: str
    author: Author
    confidence: float | None = None
    grounding: Grounding
    finish_reason: FinishReason
    usage: Usage
    cost_usd: float | None = None
    cost_basis: CostBasis | None = None
    first_shown_s: float | None = None
    first_kept_s: float | None = None
    total_s: float
    degraded: bool = False
    reason: str = ""


Event = Token | Step | Citations | Retraction | Done


# --- recording --------------------------------------------------------------------------------------------------------


class Record(Value):
    """One line of the log: what a question cost, how long it took and what came of it.

    `error` is the gRPC status name of a failed request. `flops` counts both sides, None when one is unknown.
    The fields from `policy_version` on let recorded answers be replayed and compared later.
    """

    record_id: str
    request_id: str = ""
    created_at: str = ""
    app: str = ""
    user_id: str = ""
    conversation_id: str = ""
    question: str = ""
    answer: str = ""
    privacy: Privacy = Privacy.UNKNOWN
    mode_asked: str = ""
    mode: str = ""
    author: Author | None = None
    confidence: float | None = None
    grounding: Grounding | None = None
    finish_reason: FinishReason | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None
    cost_basis: CostBasis | None = None
    flops: float | None = None
    queue_s: float | None = None
    prompt_s: float | None = None
    first_shown_s: float | None = None
    first_kept_s: float | None = None
    total_s: float = 0.0
    cloud_calls: int = 0
    cloud_generates: int = 0
    retractions: int = 0
    degraded: bool = False
    reason: str = ""
    error: str = ""
    error_message: str = ""
    steps: tuple[Step, ...] = ()
    citations: tuple[Passage, ...] = ()
    calls: tuple[str, ...] = ()
    policy_version: str = ""
    prompt_version: str = ""
    model_hash: str = ""
    propensity: float | None = None
    experiment: str = ""
    arm: str = ""
    shadow_of: str = ""
    grades: tuple[Grade, ...] = ()


class Grade(Value):
    """Somebody's score of an answer, in [0, 1]."""

    record_id: str
    grader: str = Field(min_length=1, max_length=200)
    score: float = Field(ge=0.0, le=1.0)
    comment: str = Field(default="", max_length=10_000)
    created_at: str = ""


Record.model_rebuild()


class ModeInfo(Value):
    """A mode that can be asked for: `name` or `name+option`."""

    name: str
    summary: str
    options: tuple[str, ...] = ()
    is_default: bool = False
