from edgewise.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Turn(_message.Message):
    __slots__ = ("role", "text")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    role: str
    text: _types_pb2.Text
    def __init__(self, role: _Optional[str] = ..., text: _Optional[_Union[_types_pb2.Text, _Mapping]] = ...) -> None: ...

class AskRequest(_message.Message):
    __slots__ = ("request_id", "text", "history", "conversation_id", "mode", "user_id", "privacy", "max_cost_usd", "max_latency_s", "hold", "collections", "sampling", "response_schema")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRIVACY_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_USD_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENCY_S_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    text: str
    history: _containers.RepeatedCompositeFieldContainer[Turn]
    conversation_id: str
    mode: str
    user_id: str
    privacy: _types_pb2.Privacy
    max_cost_usd: float
    max_latency_s: float
    hold: bool
    collections: _containers.RepeatedScalarFieldContainer[str]
    sampling: _types_pb2.Sampling
    response_schema: str
    def __init__(self, request_id: _Optional[str] = ..., text: _Optional[str] = ..., history: _Optional[_Iterable[_Union[Turn, _Mapping]]] = ..., conversation_id: _Optional[str] = ..., mode: _Optional[str] = ..., user_id: _Optional[str] = ..., privacy: _Optional[_Union[_types_pb2.Privacy, str]] = ..., max_cost_usd: _Optional[float] = ..., max_latency_s: _Optional[float] = ..., hold: bool = ..., collections: _Optional[_Iterable[str]] = ..., sampling: _Optional[_Union[_types_pb2.Sampling, _Mapping]] = ..., response_schema: _Optional[str] = ...) -> None: ...

class Token(_message.Message):
    __slots__ = ("answer_id", "author", "text")
    ANSWER_ID_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    answer_id: str
    author: str
    text: str
    def __init__(self, answer_id: _Optional[str] = ..., author: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("id", "parent", "name", "where", "detail", "numbers")
    class NumbersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    parent: str
    name: str
    where: str
    detail: str
    numbers: _containers.ScalarMap[str, float]
    def __init__(self, id: _Optional[str] = ..., parent: _Optional[str] = ..., name: _Optional[str] = ..., where: _Optional[str] = ..., detail: _Optional[str] = ..., numbers: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Citations(_message.Message):
    __slots__ = ("answer_id", "passages")
    ANSWER_ID_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    answer_id: str
    passages: _containers.RepeatedCompositeFieldContainer[_types_pb2.Passage]
    def __init__(self, answer_id: _Optional[str] = ..., passages: _Optional[_Iterable[_Union[_types_pb2.Passage, _Mapping]]] = ...) -> None: ...

class Retraction(_message.Message):
    __slots__ = ("answer_id", "reason")
    ANSWER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    answer_id: str
    reason: str
    def __init__(self, answer_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("edge", "cloud")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    CLOUD_FIELD_NUMBER: _ClassVar[int]
    edge: _types_pb2.Tokens
    cloud: _types_pb2.Tokens
    def __init__(self, edge: _Optional[_Union[_types_pb2.Tokens, _Mapping]] = ..., cloud: _Optional[_Union[_types_pb2.Tokens, _Mapping]] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("answer_id", "record_id", "mode", "author", "confidence", "grounding", "finish_reason", "usage", "cost_usd", "cost_basis", "first_shown_s", "first_kept_s", "total_s", "degraded", "reason")
    ANSWER_ID_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    GROUNDING_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    COST_BASIS_FIELD_NUMBER: _ClassVar[int]
    FIRST_SHOWN_S_FIELD_NUMBER: _ClassVar[int]
    FIRST_KEPT_S_FIELD_NUMBER: _ClassVar[int]
    TOTAL_S_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    answer_id: str
    record_id: str
    mode: str
    author: str
    confidence: float
    grounding: _types_pb2.Grounding
    finish_reason: str
    usage: Usage
    cost_usd: float
    cost_basis: _types_pb2.CostBasis
    first_shown_s: float
    first_kept_s: float
    total_s: float
    degraded: bool
    reason: str
    def __init__(self, answer_id: _Optional[str] = ..., record_id: _Optional[str] = ..., mode: _Optional[str] = ..., author: _Optional[str] = ..., confidence: _Optional[float] = ..., grounding: _Optional[_Union[_types_pb2.Grounding, str]] = ..., finish_reason: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., cost_usd: _Optional[float] = ..., cost_basis: _Optional[_Union[_types_pb2.CostBasis, str]] = ..., first_shown_s: _Optional[float] = ..., first_kept_s: _Optional[float] = ..., total_s: _Optional[float] = ..., degraded: bool = ..., reason: _Optional[str] = ...) -> None: ...

class AskResponse(_message.Message):
    __slots__ = ("token", "step", "citations", "retraction", "done")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    RETRACTION_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    token: Token
    step: Step
    citations: Citations
    retraction: Retraction
    done: Done
    def __init__(self, token: _Optional[_Union[Token, _Mapping]] = ..., step: _Optional[_Union[Step, _Mapping]] = ..., citations: _Optional[_Union[Citations, _Mapping]] = ..., retraction: _Optional[_Union[Retraction, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("question",)
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    question: AskRequest
    def __init__(self, question: _Optional[_Union[AskRequest, _Mapping]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("mode", "author", "decision", "score", "threshold", "familiar", "contributions", "most_usd", "expected_usd", "expected_s", "answers_before", "cost_basis", "leaves", "leaves_reason", "policy_version", "destination", "outgoing")
    class ContributionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    FAMILIAR_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    MOST_USD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_USD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_S_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    COST_BASIS_FIELD_NUMBER: _ClassVar[int]
    LEAVES_FIELD_NUMBER: _ClassVar[int]
    LEAVES_REASON_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    OUTGOING_FIELD_NUMBER: _ClassVar[int]
    mode: str
    author: str
    decision: str
    score: float
    threshold: float
    familiar: bool
    contributions: _containers.ScalarMap[str, float]
    most_usd: float
    expected_usd: float
    expected_s: float
    answers_before: int
    cost_basis: _types_pb2.CostBasis
    leaves: bool
    leaves_reason: str
    policy_version: str
    destination: str
    outgoing: _containers.RepeatedCompositeFieldContainer[Outgoing]
    def __init__(self, mode: _Optional[str] = ..., author: _Optional[str] = ..., decision: _Optional[str] = ..., score: _Optional[float] = ..., threshold: _Optional[float] = ..., familiar: bool = ..., contributions: _Optional[_Mapping[str, float]] = ..., most_usd: _Optional[float] = ..., expected_usd: _Optional[float] = ..., expected_s: _Optional[float] = ..., answers_before: _Optional[int] = ..., cost_basis: _Optional[_Union[_types_pb2.CostBasis, str]] = ..., leaves: bool = ..., leaves_reason: _Optional[str] = ..., policy_version: _Optional[str] = ..., destination: _Optional[str] = ..., outgoing: _Optional[_Iterable[_Union[Outgoing, _Mapping]]] = ...) -> None: ...

class Outgoing(_message.Message):
    __slots__ = ("what", "label", "held_because")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    HELD_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    what: str
    label: _types_pb2.Privacy
    held_because: str
    def __init__(self, what: _Optional[str] = ..., label: _Optional[_Union[_types_pb2.Privacy, str]] = ..., held_because: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("explanation",)
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    explanation: Explanation
    def __init__(self, explanation: _Optional[_Union[Explanation, _Mapping]] = ...) -> None: ...

class ModeInfo(_message.Message):
    __slots__ = ("name", "summary", "options", "is_default")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    name: str
    summary: str
    options: _containers.RepeatedScalarFieldContainer[str]
    is_default: bool
    def __init__(self, name: _Optional[str] = ..., summary: _Optional[str] = ..., options: _Optional[_Iterable[str]] = ..., is_default: bool = ...) -> None: ...

class ListModesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModesResponse(_message.Message):
    __slots__ = ("modes",)
    MODES_FIELD_NUMBER: _ClassVar[int]
    modes: _containers.RepeatedCompositeFieldContainer[ModeInfo]
    def __init__(self, modes: _Optional[_Iterable[_Union[ModeInfo, _Mapping]]] = ...) -> None: ...

class Grade(_message.Message):
    __slots__ = ("record_id", "grader", "score", "comment", "created_at")
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    GRADER_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    record_id: str
    grader: str
    score: float
    comment: str
    created_at: str
    def __init__(self, record_id: _Optional[str] = ..., grader: _Optional[str] = ..., score: _Optional[float] = ..., comment: _Optional[str] = ..., created_at: _Optional[str] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("record_id", "request_id", "created_at", "app", "user_id", "conversation_id", "question", "answer", "privacy", "mode_asked", "mode", "author", "confidence", "grounding", "finish_reason", "usage", "cost_usd", "cost_basis", "flops", "queue_s", "prompt_s", "first_shown_s", "first_kept_s", "total_s", "cloud_calls", "cloud_generates", "retractions", "degraded", "reason", "error", "error_message", "steps", "citations", "calls", "policy_version", "prompt_version", "model_hash", "propensity", "experiment", "arm", "shadow_of", "grades")
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    APP_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    PRIVACY_FIELD_NUMBER: _ClassVar[int]
    MODE_ASKED_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    GROUNDING_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    COST_BASIS_FIELD_NUMBER: _ClassVar[int]
    FLOPS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_S_FIELD_NUMBER: _ClassVar[int]
    PROMPT_S_FIELD_NUMBER: _ClassVar[int]
    FIRST_SHOWN_S_FIELD_NUMBER: _ClassVar[int]
    FIRST_KEPT_S_FIELD_NUMBER: _ClassVar[int]
    TOTAL_S_FIELD_NUMBER: _ClassVar[int]
    CLOUD_CALLS_FIELD_NUMBER: _ClassVar[int]
    CLOUD_GENERATES_FIELD_NUMBER: _ClassVar[int]
    RETRACTIONS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_HASH_FIELD_NUMBER: _ClassVar[int]
    PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    SHADOW_OF_FIELD_NUMBER: _ClassVar[int]
    GRADES_FIELD_NUMBER: _ClassVar[int]
    record_id: str
    request_id: str
    created_at: str
    app: str
    user_id: str
    conversation_id: str
    question: str
    answer: str
    privacy: _types_pb2.Privacy
    mode_asked: str
    mode: str
    author: str
    confidence: float
    grounding: _types_pb2.Grounding
    finish_reason: str
    usage: Usage
    cost_usd: float
    cost_basis: _types_pb2.CostBasis
    flops: float
    queue_s: float
    prompt_s: float
    first_shown_s: float
    first_kept_s: float
    total_s: float
    cloud_calls: int
    cloud_generates: int
    retractions: int
    degraded: bool
    reason: str
    error: str
    error_message: str
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    citations: _containers.RepeatedCompositeFieldContainer[_types_pb2.Passage]
    calls: _containers.RepeatedScalarFieldContainer[str]
    policy_version: str
    prompt_version: str
    model_hash: str
    propensity: float
    experiment: str
    arm: str
    shadow_of: str
    grades: _containers.RepeatedCompositeFieldContainer[Grade]
    def __init__(self, record_id: _Optional[str] = ..., request_id: _Optional[str] = ..., created_at: _Optional[str] = ..., app: _Optional[str] = ..., user_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., question: _Optional[str] = ..., answer: _Optional[str] = ..., privacy: _Optional[_Union[_types_pb2.Privacy, str]] = ..., mode_asked: _Optional[str] = ..., mode: _Optional[str] = ..., author: _Optional[str] = ..., confidence: _Optional[float] = ..., grounding: _Optional[_Union[_types_pb2.Grounding, str]] = ..., finish_reason: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., cost_usd: _Optional[float] = ..., cost_basis: _Optional[_Union[_types_pb2.CostBasis, str]] = ..., flops: _Optional[float] = ..., queue_s: _Optional[float] = ..., prompt_s: _Optional[float] = ..., first_shown_s: _Optional[float] = ..., first_kept_s: _Optional[float] = ..., total_s: _Optional[float] = ..., cloud_calls: _Optional[int] = ..., cloud_generates: _Optional[int] = ..., retractions: _Optional[int] = ..., degraded: bool = ..., reason: _Optional[str] = ..., error: _Optional[str] = ..., error_message: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., citations: _Optional[_Iterable[_Union[_types_pb2.Passage, _Mapping]]] = ..., calls: _Optional[_Iterable[str]] = ..., policy_version: _Optional[str] = ..., prompt_version: _Optional[str] = ..., model_hash: _Optional[str] = ..., propensity: _Optional[float] = ..., experiment: _Optional[str] = ..., arm: _Optional[str] = ..., shadow_of: _Optional[str] = ..., grades: _Optional[_Iterable[_Union[Grade, _Mapping]]] = ...) -> None: ...

class ListRecordsRequest(_message.Message):
    __slots__ = ("limit", "before_record_id", "mode", "conversation_id", "since")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    limit: int
    before_record_id: str
    mode: str
    conversation_id: str
    since: str
    def __init__(self, limit: _Optional[int] = ..., before_record_id: _Optional[str] = ..., mode: _Optional[str] = ..., conversation_id: _Optional[str] = ..., since: _Optional[str] = ...) -> None: ...

class ListRecordsResponse(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ...) -> None: ...

class GetRecordRequest(_message.Message):
    __slots__ = ("record_id",)
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    record_id: str
    def __init__(self, record_id: _Optional[str] = ...) -> None: ...

class GetRecordResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: Record
    def __init__(self, record: _Optional[_Union[Record, _Mapping]] = ...) -> None: ...

class GradeAnswerRequest(_message.Message):
    __slots__ = ("grade",)
    GRADE_FIELD_NUMBER: _ClassVar[int]
    grade: Grade
    def __init__(self, grade: _Optional[_Union[Grade, _Mapping]] = ...) -> None: ...

class GradeAnswerResponse(_message.Message):
    __slots__ = ("grade",)
    GRADE_FIELD_NUMBER: _ClassVar[int]
    grade: Grade
    def __init__(self, grade: _Optional[_Union[Grade, _Mapping]] = ...) -> None: ...

class ExportTraceRequest(_message.Message):
    __slots__ = ("since", "mode", "with_private")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    WITH_PRIVATE_FIELD_NUMBER: _ClassVar[int]
    since: str
    mode: str
    with_private: bool
    def __init__(self, since: _Optional[str] = ..., mode: _Optional[str] = ..., with_private: bool = ...) -> None: ...

class ExportTraceResponse(_message.Message):
    __slots__ = ("line", "left_out")
    LINE_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    line: str
    left_out: int
    def __init__(self, line: _Optional[str] = ..., left_out: _Optional[int] = ...) -> None: ...

class ForgetRequest(_message.Message):
    __slots__ = ("record_id", "conversation_id", "document_id", "app", "user_id", "before")
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    APP_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    record_id: str
    conversation_id: str
    document_id: str
    app: str
    user_id: str
    before: str
    def __init__(self, record_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., document_id: _Optional[str] = ..., app: _Optional[str] = ..., user_id: _Optional[str] = ..., before: _Optional[str] = ...) -> None: ...

class Forgotten(_message.Message):
    __slots__ = ("records", "redacted", "documents", "cloud_info", "remarks")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    REDACTED_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    CLOUD_INFO_FIELD_NUMBER: _ClassVar[int]
    REMARKS_FIELD_NUMBER: _ClassVar[int]
    records: int
    redacted: int
    documents: int
    cloud_info: int
    remarks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, records: _Optional[int] = ..., redacted: _Optional[int] = ..., documents: _Optional[int] = ..., cloud_info: _Optional[int] = ..., remarks: _Optional[_Iterable[str]] = ...) -> None: ...

class ForgetResponse(_message.Message):
    __slots__ = ("forgotten",)
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    forgotten: Forgotten
    def __init__(self, forgotten: _Optional[_Union[Forgotten, _Mapping]] = ...) -> None: ...

class Arm(_message.Message):
    __slots__ = ("mode", "weight")
    MODE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    mode: str
    weight: float
    def __init__(self, mode: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class Experiment(_message.Message):
    __slots__ = ("name", "arms", "unit", "shadow", "shadow_usd", "harm", "grader", "started_at", "stopped_at", "stopped_because", "held")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARMS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    SHADOW_USD_FIELD_NUMBER: _ClassVar[int]
    HARM_FIELD_NUMBER: _ClassVar[int]
    GRADER_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    STOPPED_AT_FIELD_NUMBER: _ClassVar[int]
    STOPPED_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    name: str
    arms: _containers.RepeatedCompositeFieldContainer[Arm]
    unit: str
    shadow: str
    shadow_usd: float
    harm: float
    grader: str
    started_at: str
    stopped_at: str
    stopped_because: str
    held: bool
    def __init__(self, name: _Optional[str] = ..., arms: _Optional[_Iterable[_Union[Arm, _Mapping]]] = ..., unit: _Optional[str] = ..., shadow: _Optional[str] = ..., shadow_usd: _Optional[float] = ..., harm: _Optional[float] = ..., grader: _Optional[str] = ..., started_at: _Optional[str] = ..., stopped_at: _Optional[str] = ..., stopped_because: _Optional[str] = ..., held: bool = ...) -> None: ...

class ArmFigures(_message.Message):
    __slots__ = ("mode", "answers", "errors", "graded", "grade", "priced", "cost_usd", "total_s", "cost_basis")
    MODE_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    GRADED_FIELD_NUMBER: _ClassVar[int]
    GRADE_FIELD_NUMBER: _ClassVar[int]
    PRICED_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    TOTAL_S_FIELD_NUMBER: _ClassVar[int]
    COST_BASIS_FIELD_NUMBER: _ClassVar[int]
    mode: str
    answers: int
    errors: int
    graded: int
    grade: float
    priced: int
    cost_usd: float
    total_s: float
    cost_basis: _types_pb2.CostBasis
    def __init__(self, mode: _Optional[str] = ..., answers: _Optional[int] = ..., errors: _Optional[int] = ..., graded: _Optional[int] = ..., grade: _Optional[float] = ..., priced: _Optional[int] = ..., cost_usd: _Optional[float] = ..., total_s: _Optional[float] = ..., cost_basis: _Optional[_Union[_types_pb2.CostBasis, str]] = ...) -> None: ...

class ArmDifference(_message.Message):
    __slots__ = ("arm", "units", "difference", "lo", "hi", "p_value", "units_needed", "remark")
    ARM_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    LO_FIELD_NUMBER: _ClassVar[int]
    HI_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_FIELD_NUMBER: _ClassVar[int]
    UNITS_NEEDED_FIELD_NUMBER: _ClassVar[int]
    REMARK_FIELD_NUMBER: _ClassVar[int]
    arm: str
    units: int
    difference: float
    lo: float
    hi: float
    p_value: float
    units_needed: int
    remark: str
    def __init__(self, arm: _Optional[str] = ..., units: _Optional[int] = ..., difference: _Optional[float] = ..., lo: _Optional[float] = ..., hi: _Optional[float] = ..., p_value: _Optional[float] = ..., units_needed: _Optional[int] = ..., remark: _Optional[str] = ...) -> None: ...

class Skipped(_message.Message):
    __slots__ = ("reason", "count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    count: int
    def __init__(self, reason: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class ExperimentStatus(_message.Message):
    __slots__ = ("experiment", "arms", "differences", "shadow", "shadow_spent_usd", "shadow_skipped")
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    ARMS_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    SHADOW_SPENT_USD_FIELD_NUMBER: _ClassVar[int]
    SHADOW_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    experiment: Experiment
    arms: _containers.RepeatedCompositeFieldContainer[ArmFigures]
    differences: _containers.RepeatedCompositeFieldContainer[ArmDifference]
    shadow: ArmFigures
    shadow_spent_usd: float
    shadow_skipped: _containers.RepeatedCompositeFieldContainer[Skipped]
    def __init__(self, experiment: _Optional[_Union[Experiment, _Mapping]] = ..., arms: _Optional[_Iterable[_Union[ArmFigures, _Mapping]]] = ..., differences: _Optional[_Iterable[_Union[ArmDifference, _Mapping]]] = ..., shadow: _Optional[_Union[ArmFigures, _Mapping]] = ..., shadow_spent_usd: _Optional[float] = ..., shadow_skipped: _Optional[_Iterable[_Union[Skipped, _Mapping]]] = ...) -> None: ...

class StartExperimentRequest(_message.Message):
    __slots__ = ("experiment",)
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    experiment: Experiment
    def __init__(self, experiment: _Optional[_Union[Experiment, _Mapping]] = ...) -> None: ...

class StartExperimentResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: ExperimentStatus
    def __init__(self, status: _Optional[_Union[ExperimentStatus, _Mapping]] = ...) -> None: ...

class GetExperimentRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetExperimentResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: ExperimentStatus
    def __init__(self, status: _Optional[_Union[ExperimentStatus, _Mapping]] = ...) -> None: ...

class StopExperimentRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class StopExperimentResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: ExperimentStatus
    def __init__(self, status: _Optional[_Union[ExperimentStatus, _Mapping]] = ...) -> None: ...
