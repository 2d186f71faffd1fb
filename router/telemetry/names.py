"""Every name that telemetry sends: those of OpenTelemetry's conventions for generative AI, and ours.

The conventions left open-telemetry/semantic-conventions for open-telemetry/semantic-conventions-genai; the constants in
the Python packages are deprecated. Checked against that repository around its release v0.1.0: token metrics at commit
066d4a7f356f, spans and events at 002c8a6ea1c8, other metrics at 004902b8cb70, with the changes that the changelog of
v0.1.0 names. All of it has the status "development": names may change. What changed last: `gen_ai.client.token.usage`
became one counter a kind of token and two histograms, workflows are recorded as `gen_ai.invoke_agent.duration` under
`gen_ai.agent.name`, and a retrieval has `gen_ai.retrieval.top_k`.
"""

from __future__ import annotations

from dataclasses import dataclass

CONVENTIONS = "semantic-conventions-genai v0.1.0"
SCOPE = "edgewise.router"

# --- values -----------------------------------------------------------------------------------------------------------

CHAT, RETRIEVAL, INVOKE_AGENT, INVOKE_WORKFLOW = "chat", "retrieval", "invoke_agent", "invoke_workflow"
EMBEDDINGS = "embeddings"
SCORE, READ = "score", "read"  # ours: likelihoods of given texts, what passages say; the conventions know no such thing
PROVIDER = "edgewise"  # who serves the models that we call: our edge node and our gateway, whatever is behind them
TEXT, UNKNOWN = "text", "unknown"

# --- attributes of the conventions ------------------------------------------------------------------------------------

SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"
SERVICE_INSTANCE = "service.instance.id"
ERROR_TYPE = "error.type"
OPERATION = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
AGENT_NAME = "gen_ai.agent.name"
CONVERSATION = "gen_ai.conversation.id"
DATA_SOURCE = "gen_ai.data_source.id"
RETRIEVAL_TOP_K = "gen_ai.retrieval.top_k"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_TOP_K = "gen_ai.request.top_k"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
MODALITY = "gen_ai.token.modality"

# Content: never but by `telemetry.content`, and then of public answers alone.
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
QUERY_TEXT = "gen_ai.retrieval.query.text"

# --- the event of a grade ---------------------------------------------------------------------------------------------

EVALUATION_RESULT = "gen_ai.evaluation.result"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_SCORE = "gen_ai.evaluation.score.value"
EVALUATION_LABEL = "gen_ai.evaluation.score.label"

# --- ours -------------------------------------------------------------------------------------------------------------

MODE_ASKED = "edgewise.mode_asked"
MODE = "edgewise.mode"
AUTHOR = "edgewise.author"
SIDE = "edgewise.side"
GROUNDING = "edgewise.grounding"
CONFIDENCE = "edgewise.confidence"
PRIVACY = "edgewise.privacy"
DEGRADED = "edgewise.degraded"
COST_USD = "edgewise.cost_usd"
COST_BASIS = "edgewise.cost_basis"
FLOPS = "edgewise.flops"
QUEUE_S = "edgewise.queue_s"
PROMPT_S = "edgewise.prompt_s"
FIRST_SHOWN_S = "edgewise.first_shown_s"
FIRST_KEPT_S = "edgewise.first_kept_s"
CLOUD_CALLS = "edgewise.cloud_calls"
RETRACTIONS = "edgewise.retractions"
POLICY_VERSION = "edgewise.policy_version"
PROMPT_VERSION = "edgewise.prompt_version"
PROPENSITY = "edgewise.propensity"
EXPERIMENT = "edgewise.experiment"
ARM = "edgewise.arm"
SHADOW_OF = "edgewise.shadow_of"
SHADOW = "edgewise.shadow"  # on metrics, where an id would make a series an answer
GRADER = "edgewise.grader"
CORRECTNESS = "edgewise.correctness"
STEP = "edgewise.step"
STEP_ID = "edgewise.step.id"
STEP_PARENT = "edgewise.step.parent"
STEP_NAME = "edgewise.step.name"
STEP_WHERE = "edgewise.step.where"
STEP_NUMBER = "edgewise.step.number."

# --- metrics ----------------------------------------------------------------------------------------------------------

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_LONGER = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
_TOKENS = tuple(float(4**power) for power in range(14))


@dataclass(frozen=True, slots=True)
class Instrument:
    """A histogram with the boundaries that the conventions advise; without any, a counter."""

    name: str
    unit: str
    description: str
    boundaries: tuple[float, ...] = ()


ANSWER_DURATION = Instrument("gen_ai.invoke_agent.duration", "s", "Time to the end of an answer", _LONGER)
CALL_DURATION = Instrument("gen_ai.client.operation.duration", "s", "Time that a call of a side took", _SECONDS)
FIRST_CHUNK = Instrument(
    "gen_ai.client.operation.time_to_first_chunk", "s", "Time to the first chunk of a generation", _SECONDS
)
INPUT_USED = Instrument("gen_ai.client.inference.usage.input_tokens", "{token}", "Prompt tokens, cached ones included")
OUTPUT_USED = Instrument("gen_ai.client.inference.usage.output_tokens", "{token}", "Completion tokens")
CACHE_READ_USED = Instrument(
    "gen_ai.client.inference.usage.cache_read.input_tokens", "{token}", "Prompt tokens that were in a cache already"
)
INPUT_OF_CALL = Instrument(
    "gen_ai.client.inference.operation.input_tokens", "{token}", "Prompt tokens of one call", _TOKENS
)
OUTPUT_OF_CALL = Instrument(
    "gen_ai.client.inference.operation.output_tokens", "{token}", "Completion tokens of one call", _TOKENS
)
COST = Instrument("edgewise.cost", "USD", "Known cost of answers")

INSTRUMENTS = (
    ANSWER_DURATION, CALL_DURATION, FIRST_CHUNK, INPUT_USED, OUTPUT_USED, CACHE_READ_USED, INPUT_OF_CALL,
    OUTPUT_OF_CALL, COST,
)  # fmt: skip
