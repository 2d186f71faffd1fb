"""A record and its side calls -> spans and measurements; a grade -> an event. Nothing here sends anything.

A trace is one question: its id is the record's, so that a grade finds it whenever it comes. The root span's id is the
second half of the record's, and the spans of calls count on from it. Spans are made after the answer, from the times in
the record: nothing is open while an answer streams.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from edgewise.types import Grade, Prompt, Query, Record, Tokens
from router.log.egress import is_public
from router.meter import Kind, SideCall
from router.observer import grader_kind
from router.telemetry import names

Attribute = str | bool | int | float | Sequence[str] | None
Attributes = Mapping[str, Attribute]

_OPERATIONS: dict[Kind, str] = {
    "generate": names.CHAT,
    "retrieve": names.RETRIEVAL,
    "score": names.SCORE,
    "read": names.READ,
    "embed": names.EMBEDDINGS,
}
_HALF = 16
_ID_LIMIT = 1 << 64


@dataclass(frozen=True, slots=True)
class Measurement:
    instrument: names.Instrument
    value: float
    attributes: dict[str, str]


def spans_of(record: Record, calls: Sequence[SideCall], *, content: bool) -> list[Span]:
    """The root span, then one a side call. With `content` and only public texts, these are in them."""
    shown = content and is_public(record, calls)
    root = _span(record, 0, _name_of(record), (0.0, record.total_s), _of_record(record, shown=shown))
    root.events.extend(_steps(record, root.end_time_unix_nano))
    children = (
        _span(record, place, _name_of_call(call), (call.started_s, call.ended_s), _of_call(record, call, shown=shown))
        for place, call in enumerate(calls, start=1)
    )
    return [root, *children]


def event_of(record: Record, grade: Grade) -> LogRecord:
    """`gen_ai.evaluation.result` under the root span. A comment is content whose label nobody knows: it stays here."""
    words = {1.0: "correct", 0.0: "incorrect"}
    at = _nanoseconds(grade.created_at)
    return LogRecord(
        event_name=names.EVALUATION_RESULT,
        time_unix_nano=at,
        observed_time_unix_nano=at,
        severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
        trace_id=_trace_id(record),
        span_id=_span_id(record, 0),
        attributes=_encoded(
            {
                names.EVALUATION_NAME: names.CORRECTNESS,
                names.EVALUATION_SCORE: grade.score,
                names.EVALUATION_LABEL: words.get(grade.score, "partly correct"),
                names.RESPONSE_ID: record.record_id,
                names.GRADER: grader_kind(grade.grader),
                names.MODE: record.mode,
                names.AUTHOR: record.author,
                **_of_experiment(record),
            }
        ),
    )


def measurements_of(record: Record, calls: Sequence[SideCall]) -> Iterator[Measurement]:
    answer = _texts(
        {
            names.AGENT_NAME: _agent(record),
            names.MODE: record.mode,
            names.EXPERIMENT: record.experiment or None,
            names.ARM: record.arm or None,
            names.SHADOW: "true" if record.shadow_of else None,
        }
    )
    yield Measurement(names.ANSWER_DURATION, record.total_s, answer | _texts({names.ERROR_TYPE: record.error or None}))
    if record.cost_usd is not None:
        yield Measurement(names.COST, record.cost_usd, answer | _texts({names.COST_BASIS: record.cost_basis}))
    for call in calls:
        yield from _of_one_call(call)


def is_sampled(record_id: str, ratio: float) -> bool:
    """Decided by the record's id: everybody who samples by it decides the same."""
    return int(record_id[:8], 16) < ratio * 16**8


def attributes_of(values: Attributes) -> list[KeyValue]:
    """The protocol's attributes; what is None is left out."""
    return list(_encoded(values))


# --- one question -----------------------------------------------------------------------------------------------------


def _of_record(record: Record, *, shown: bool) -> Attributes:
    tokens = record.usage.edge + record.usage.cloud
    content: dict[str, Attribute] = {}
    if shown:
        content = {
            names.INPUT_MESSAGES: _messages([("user", record.question)]),
            names.OUTPUT_MESSAGES: _messages([("assistant", record.answer)], record.finish_reason),
            names.CONVERSATION: record.conversation_id or None,
        }
    return {
        names.OPERATION: names.INVOKE_AGENT if _agent(record) == "agent" else names.INVOKE_WORKFLOW,
        names.PROVIDER_NAME: names.PROVIDER,
        names.AGENT_NAME: _agent(record),
        names.RESPONSE_ID: record.record_id,
        names.CONVERSATION: _pseudonym(record.conversation_id),
        names.ERROR_TYPE: record.error or None,
        names.FINISH_REASONS: [record.finish_reason] if record.finish_reason else None,
        names.INPUT_TOKENS: tokens.prompt_tokens,
        names.OUTPUT_TOKENS: tokens.completion_tokens,
        names.CACHE_READ_TOKENS: tokens.cached_tokens,
        names.MODE: record.mode,
        names.MODE_ASKED: record.mode_asked,
        names.AUTHOR: record.author,
        names.GROUNDING: record.grounding,
        names.CONFIDENCE: record.confidence,
        names.PRIVACY: record.privacy,
        names.DEGRADED: record.degraded,
        names.COST_USD: record.cost_usd,
        names.COST_BASIS: record.cost_basis,
        names.FLOPS: record.flops,
        names.FIRST_SHOWN_S: record.first_shown_s,
        names.FIRST_KEPT_S: record.first_kept_s,
        names.CLOUD_CALLS: record.cloud_calls,
        names.RETRACTIONS: record.retractions,
        names.POLICY_VERSION: record.policy_version,
        names.PROMPT_VERSION: record.prompt_version,
        names.PROPENSITY: record.propensity,
        **_of_experiment(record),
        **content,
    }


def _of_experiment(record: Record) -> Attributes:
    return {
        names.EXPERIMENT: record.experiment or None,
        names.ARM: record.arm or None,
        names.SHADOW_OF: record.shadow_of or None,
    }


def _steps(record: Record, at: int) -> Iterator[Span.Event]:
    """What was decided, in its order, without its words. A step has no time of its own: all stand at the end."""
    for step in record.steps:
        attributes: dict[str, Attribute] = {
            names.STEP_ID: step.id,
            names.STEP_PARENT: step.parent or None,
            names.STEP_NAME: step.name,
            names.STEP_WHERE: step.where,
            **{names.STEP_NUMBER + name: number for name, number in step.numbers.items()},
        }
        yield Span.Event(name=names.STEP, time_unix_nano=at, attributes=_encoded(attributes))


def _agent(record: Record) -> str:
    return record.mode.partition("+")[0]


def _name_of(record: Record) -> str:
    return f"{names.INVOKE_AGENT if _agent(record) == 'agent' else names.INVOKE_WORKFLOW} {_agent(record)}"


def _pseudonym(conversation_id: str) -> str | None:
    """Callers choose these ids, perhaps as an address or a title: what leaves only tells one from another."""
    return hashlib.sha256(conversation_id.encode()).hexdigest()[:32] if conversation_id else None


# --- one side call ----------------------------------------------------------------------------------------------------


def _of_call(record: Record, call: SideCall, *, shown: bool) -> Attributes:
    same: dict[str, Attribute] = {
        names.OPERATION: _OPERATIONS[call.kind],
        names.PROVIDER_NAME: names.PROVIDER,
        names.SIDE: call.side,
        names.ERROR_TYPE: call.error or None,
        names.COST_USD: call.cost_usd,
        names.COST_BASIS: call.cost_basis,
    }
    if call.kind == "retrieve":
        query = Query.model_validate_json(call.request)
        text = query.text.value if shown else None
        return {**same, names.DATA_SOURCE: call.side, names.RETRIEVAL_TOP_K: query.k, names.QUERY_TEXT: text}
    same |= {**_of_model(call), names.CONVERSATION: _pseudonym(record.conversation_id)}
    if shown and call.kind == "generate":
        prompt = Prompt.model_validate_json(call.request)
        asked = [(message.role, message.content.value) for message in prompt.messages]
        same[names.INPUT_MESSAGES] = _messages(asked)
        same[names.OUTPUT_MESSAGES] = _messages([("assistant", call.response)], call.finish_reason)
    return same


def _of_model(call: SideCall) -> Attributes:
    sampling = call.sampling
    known = call.tokens != Tokens()
    return {
        names.REQUEST_MODEL: call.model or None,
        names.RESPONSE_MODEL: call.model or None,
        names.REQUEST_STREAM: True if call.kind == "generate" else None,
        names.REQUEST_MAX_TOKENS: sampling.max_tokens if sampling else None,
        names.REQUEST_TEMPERATURE: sampling.temperature if sampling else None,
        names.REQUEST_TOP_P: sampling.top_p if sampling else None,
        names.REQUEST_TOP_K: (sampling.top_k or None) if sampling else None,
        names.REQUEST_SEED: sampling.seed if sampling else None,
        names.FINISH_REASONS: [call.finish_reason] if call.finish_reason else None,
        names.TIME_TO_FIRST_CHUNK: None if call.first_s is None else call.first_s - call.started_s,
        names.INPUT_TOKENS: call.tokens.prompt_tokens if known else None,
        names.OUTPUT_TOKENS: call.tokens.completion_tokens if known else None,
        names.CACHE_READ_TOKENS: call.tokens.cached_tokens if known else None,
        names.QUEUE_S: call.timings.queue_s,
        names.PROMPT_S: call.timings.prompt_s,
        names.FLOPS: call.flops,
        names.PROMPT_VERSION: call.prompt_version or None,
    }


def _of_one_call(call: SideCall) -> Iterator[Measurement]:
    ended = _texts({names.ERROR_TYPE: call.error or None})
    by = _texts(
        {
            names.OPERATION: _OPERATIONS[call.kind],
            names.PROVIDER_NAME: names.PROVIDER,
            names.SIDE: call.side,
            names.REQUEST_MODEL: call.model or None,
            names.RESPONSE_MODEL: call.model or None,
        }
    )
    yield Measurement(names.CALL_DURATION, call.ended_s - call.started_s, by | ended)
    if call.kind not in {"generate", "score"}:
        return
    if call.first_s is not None:
        yield Measurement(names.FIRST_CHUNK, call.first_s - call.started_s, by)
    # The conventions want a zero of unknown modality where a call ended before it told its tokens.
    modality = {names.MODALITY: names.TEXT if call.tokens != Tokens() else names.UNKNOWN}
    yield Measurement(names.INPUT_USED, call.tokens.prompt_tokens, by | modality)
    yield Measurement(names.OUTPUT_USED, call.tokens.completion_tokens, by | modality)
    yield Measurement(names.CACHE_READ_USED, call.tokens.cached_tokens, by | modality)
    yield Measurement(names.INPUT_OF_CALL, call.tokens.prompt_tokens, by | ended)
    yield Measurement(names.OUTPUT_OF_CALL, call.tokens.completion_tokens, by | ended)


def _name_of_call(call: SideCall) -> str:
    what = call.model if call.kind in {"generate", "score"} else call.side
    return f"{_OPERATIONS[call.kind]} {what}".strip()


def _messages(said: Sequence[tuple[str, str]], finish_reason: str | None = None) -> str:
    """The conventions' JSON of messages."""
    finish = {} if finish_reason is None else {"finish_reason": finish_reason}
    messages = [{"role": role, "parts": [{"type": "text", "content": text}], **finish} for role, text in said]
    return json.dumps(messages, ensure_ascii=False)


# --- the protocol -----------------------------------------------------------------------------------------------------


def _span(record: Record, place: int, name: str, times_s: tuple[float, float], attributes: Attributes) -> Span:
    began = _nanoseconds(record.created_at)
    return Span(
        trace_id=_trace_id(record),
        span_id=_span_id(record, place),
        parent_span_id=_span_id(record, 0) if place else b"",
        name=name,
        kind=Span.SPAN_KIND_CLIENT if place else Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=began + round(times_s[0] * 1e9),
        end_time_unix_nano=began + round(times_s[1] * 1e9),
        attributes=_encoded(attributes),
        status=Status(code=Status.STATUS_CODE_ERROR) if attributes[names.ERROR_TYPE] else None,
    )


def _trace_id(record: Record) -> bytes:
    return bytes.fromhex(record.record_id)


def _span_id(record: Record, place: int) -> bytes:
    return ((int(record.record_id[_HALF:], 16) + place) % _ID_LIMIT).to_bytes(8, "big")


def _nanoseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1e3) * 1_000_000


def _texts(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _encoded(values: Attributes) -> Iterator[KeyValue]:
    for name, value in values.items():
        if value is not None:
            yield KeyValue(key=name, value=_value(value))


def _value(value: str | bool | float | Sequence[str]) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case str():
            return AnyValue(string_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=text) for text in value]))
