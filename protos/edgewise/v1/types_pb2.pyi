from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Privacy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIVACY_UNSPECIFIED: _ClassVar[Privacy]
    PRIVACY_PUBLIC: _ClassVar[Privacy]
    PRIVACY_PRIVATE: _ClassVar[Privacy]

class CostBasis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COST_BASIS_UNSPECIFIED: _ClassVar[CostBasis]
    COST_BASIS_BILLED: _ClassVar[CostBasis]
    COST_BASIS_NOTIONAL: _ClassVar[CostBasis]
    COST_BASIS_SIMULATED: _ClassVar[CostBasis]

class Grounding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GROUNDING_UNSPECIFIED: _ClassVar[Grounding]
    GROUNDING_GROUNDED: _ClassVar[Grounding]
    GROUNDING_OWN_KNOWLEDGE: _ClassVar[Grounding]
    GROUNDING_ABSTAINED: _ClassVar[Grounding]
PRIVACY_UNSPECIFIED: Privacy
PRIVACY_PUBLIC: Privacy
PRIVACY_PRIVATE: Privacy
COST_BASIS_UNSPECIFIED: CostBasis
COST_BASIS_BILLED: CostBasis
COST_BASIS_NOTIONAL: CostBasis
COST_BASIS_SIMULATED: CostBasis
GROUNDING_UNSPECIFIED: Grounding
GROUNDING_GROUNDED: Grounding
GROUNDING_OWN_KNOWLEDGE: Grounding
GROUNDING_ABSTAINED: Grounding

class Text(_message.Message):
    __slots__ = ("value", "label", "sources")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    value: str
    label: Privacy
    sources: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, value: _Optional[str] = ..., label: _Optional[_Union[Privacy, str]] = ..., sources: _Optional[_Iterable[str]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("role", "content")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: Text
    def __init__(self, role: _Optional[str] = ..., content: _Optional[_Union[Text, _Mapping]] = ...) -> None: ...

class Prompt(_message.Message):
    __slots__ = ("messages", "version")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    version: str
    def __init__(self, messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ..., version: _Optional[str] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("max_tokens", "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "stop")
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MIN_P_FIELD_NUMBER: _ClassVar[int]
    REPEAT_PENALTY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repeat_penalty: float
    seed: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, max_tokens: _Optional[int] = ..., temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., top_k: _Optional[int] = ..., min_p: _Optional[float] = ..., repeat_penalty: _Optional[float] = ..., seed: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ...) -> None: ...

class Options(_message.Message):
    __slots__ = ("sampling", "cache_key", "question_id", "question_hash", "priority", "timeout_s", "response_schema", "grammar", "adapter", "surprisal")
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    CACHE_KEY_FIELD_NUMBER: _ClassVar[int]
    QUESTION_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_HASH_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    SURPRISAL_FIELD_NUMBER: _ClassVar[int]
    sampling: Sampling
    cache_key: str
    question_id: str
    question_hash: str
    priority: str
    timeout_s: float
    response_schema: str
    grammar: str
    adapter: str
    surprisal: bool
    def __init__(self, sampling: _Optional[_Union[Sampling, _Mapping]] = ..., cache_key: _Optional[str] = ..., question_id: _Optional[str] = ..., question_hash: _Optional[str] = ..., priority: _Optional[str] = ..., timeout_s: _Optional[float] = ..., response_schema: _Optional[str] = ..., grammar: _Optional[str] = ..., adapter: _Optional[str] = ..., surprisal: bool = ...) -> None: ...

class Tokens(_message.Message):
    __slots__ = ("prompt_tokens", "completion_tokens", "cached_tokens")
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    def __init__(self, prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queue_s", "prompt_s", "decode_s")
    QUEUE_S_FIELD_NUMBER: _ClassVar[int]
    PROMPT_S_FIELD_NUMBER: _ClassVar[int]
    DECODE_S_FIELD_NUMBER: _ClassVar[int]
    queue_s: float
    prompt_s: float
    decode_s: float
    def __init__(self, queue_s: _Optional[float] = ..., prompt_s: _Optional[float] = ..., decode_s: _Optional[float] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("text", "logprobs", "entropies", "margins")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    ENTROPIES_FIELD_NUMBER: _ClassVar[int]
    MARGINS_FIELD_NUMBER: _ClassVar[int]
    text: str
    logprobs: _containers.RepeatedScalarFieldContainer[float]
    entropies: _containers.RepeatedScalarFieldContainer[float]
    margins: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, text: _Optional[str] = ..., logprobs: _Optional[_Iterable[float]] = ..., entropies: _Optional[_Iterable[float]] = ..., margins: _Optional[_Iterable[float]] = ...) -> None: ...

class Completion(_message.Message):
    __slots__ = ("finish_reason", "tokens", "timings", "model", "model_hash", "cost_usd", "cost_basis", "flops", "adapter", "prompt_surprisal", "via")
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_HASH_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    COST_BASIS_FIELD_NUMBER: _ClassVar[int]
    FLOPS_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    PROMPT_SURPRISAL_FIELD_NUMBER: _ClassVar[int]
    VIA_FIELD_NUMBER: _ClassVar[int]
    finish_reason: str
    tokens: Tokens
    timings: Timings
    model: str
    model_hash: str
    cost_usd: float
    cost_basis: CostBasis
    flops: float
    adapter: str
    prompt_surprisal: float
    via: str
    def __init__(self, finish_reason: _Optional[str] = ..., tokens: _Optional[_Union[Tokens, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., model: _Optional[str] = ..., model_hash: _Optional[str] = ..., cost_usd: _Optional[float] = ..., cost_basis: _Optional[_Union[CostBasis, str]] = ..., flops: _Optional[float] = ..., adapter: _Optional[str] = ..., prompt_surprisal: _Optional[float] = ..., via: _Optional[str] = ...) -> None: ...

class Scores(_message.Message):
    __slots__ = ("logprobs", "tokens", "flops")
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    FLOPS_FIELD_NUMBER: _ClassVar[int]
    logprobs: _containers.RepeatedScalarFieldContainer[float]
    tokens: Tokens
    flops: float
    def __init__(self, logprobs: _Optional[_Iterable[float]] = ..., tokens: _Optional[_Union[Tokens, _Mapping]] = ..., flops: _Optional[float] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("text", "k", "collections", "source", "expand")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EXPAND_FIELD_NUMBER: _ClassVar[int]
    text: Text
    k: int
    collections: _containers.RepeatedScalarFieldContainer[str]
    source: str
    expand: str
    def __init__(self, text: _Optional[_Union[Text, _Mapping]] = ..., k: _Optional[int] = ..., collections: _Optional[_Iterable[str]] = ..., source: _Optional[str] = ..., expand: _Optional[str] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class Passage(_message.Message):
    __slots__ = ("id", "text", "source", "title", "score", "origin", "as_of", "expires_at", "stale", "spans")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: Text
    source: str
    title: str
    score: float
    origin: str
    as_of: str
    expires_at: str
    stale: bool
    spans: _containers.RepeatedCompositeFieldContainer[Span]
    def __init__(self, id: _Optional[str] = ..., text: _Optional[_Union[Text, _Mapping]] = ..., source: _Optional[str] = ..., title: _Optional[str] = ..., score: _Optional[float] = ..., origin: _Optional[str] = ..., as_of: _Optional[str] = ..., expires_at: _Optional[str] = ..., stale: bool = ..., spans: _Optional[_Iterable[_Union[Span, _Mapping]]] = ...) -> None: ...

class Findings(_message.Message):
    __slots__ = ("passages", "cost_usd", "cost_basis", "elapsed_s", "answerable", "reason", "via")
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    COST_BASIS_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_S_FIELD_NUMBER: _ClassVar[int]
    ANSWERABLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VIA_FIELD_NUMBER: _ClassVar[int]
    passages: _containers.RepeatedCompositeFieldContainer[Passage]
    cost_usd: float
    cost_basis: CostBasis
    elapsed_s: float
    answerable: float
    reason: str
    via: str
    def __init__(self, passages: _Optional[_Iterable[_Union[Passage, _Mapping]]] = ..., cost_usd: _Optional[float] = ..., cost_basis: _Optional[_Union[CostBasis, str]] = ..., elapsed_s: _Optional[float] = ..., answerable: _Optional[float] = ..., reason: _Optional[str] = ..., via: _Optional[str] = ...) -> None: ...

class Quote(_message.Message):
    __slots__ = ("passage", "span", "probability")
    PASSAGE_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    passage: int
    span: Span
    probability: float
    def __init__(self, passage: _Optional[int] = ..., span: _Optional[_Union[Span, _Mapping]] = ..., probability: _Optional[float] = ...) -> None: ...

class Reading(_message.Message):
    __slots__ = ("sentences", "answers")
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    sentences: _containers.RepeatedCompositeFieldContainer[Quote]
    answers: _containers.RepeatedCompositeFieldContainer[Quote]
    def __init__(self, sentences: _Optional[_Iterable[_Union[Quote, _Mapping]]] = ..., answers: _Optional[_Iterable[_Union[Quote, _Mapping]]] = ...) -> None: ...

class SideStatus(_message.Message):
    __slots__ = ("ready", "model", "model_hash", "label", "context_tokens", "parameters", "documents", "passages", "queued", "usd_per_mtok_prompt", "usd_per_mtok_completion", "cost_basis", "reason", "running", "capabilities", "adapter", "adapters", "restarts", "max_document_bytes", "usd_per_fetch", "embedder_hash")
    READY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_HASH_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    USD_PER_MTOK_PROMPT_FIELD_NUMBER: _ClassVar[int]
    USD_PER_MTOK_COMPLETION_FIELD_NUMBER: _ClassVar[int]
    COST_BASIS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    MAX_DOCUMENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    USD_PER_FETCH_FIELD_NUMBER: _ClassVar[int]
    EMBEDDER_HASH_FIELD_NUMBER: _ClassVar[int]
    ready: bool
    model: str
    model_hash: str
    label: str
    context_tokens: int
    parameters: float
    documents: int
    passages: int
    queued: int
    usd_per_mtok_prompt: float
    usd_per_mtok_completion: float
    cost_basis: CostBasis
    reason: str
    running: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    adapter: str
    adapters: _containers.RepeatedScalarFieldContainer[str]
    restarts: int
    max_document_bytes: int
    usd_per_fetch: float
    embedder_hash: str
    def __init__(self, ready: bool = ..., model: _Optional[str] = ..., model_hash: _Optional[str] = ..., label: _Optional[str] = ..., context_tokens: _Optional[int] = ..., parameters: _Optional[float] = ..., documents: _Optional[int] = ..., passages: _Optional[int] = ..., queued: _Optional[int] = ..., usd_per_mtok_prompt: _Optional[float] = ..., usd_per_mtok_completion: _Optional[float] = ..., cost_basis: _Optional[_Union[CostBasis, str]] = ..., reason: _Optional[str] = ..., running: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., adapter: _Optional[str] = ..., adapters: _Optional[_Iterable[str]] = ..., restarts: _Optional[int] = ..., max_document_bytes: _Optional[int] = ..., usd_per_fetch: _Optional[float] = ..., embedder_hash: _Optional[str] = ...) -> None: ...
