"""Values <-> protobuf, and errors <-> gRPC status.

Conversion goes by field name over the message's descriptor, so that a value and its message can never drift apart
(a test compares the names). `Chunk` and `Token`, one a token, are written out by hand.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from enum import Enum, auto
from functools import cache
from typing import Any, NamedTuple, TypeVar

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edgewise.errors import (
    LEAVES,
    Cancelled,
    Conflict,
    DeadlineExceeded,
    EdgeUnavailable,
    EdgewiseError,
    Forbidden,
    Internal,
    InvalidInput,
    NotFound,
    Overloaded,
    Unauthenticated,
)
from edgewise.types import Author, Chunk, Document, Token, Value
from edgewise.v1 import edge_pb2, router_pb2, types_pb2

MessageT = TypeVar("MessageT", bound=Message)
ValueT = TypeVar("ValueT", bound=Value)

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_STATUS_KEY = "grpc-status-details-bin"
_DOMAIN = "edgewise"

# --- values -----------------------------------------------------------------------------------------------------------


def pack(value: Value, message_type: type[MessageT]) -> MessageT:
    """The message for a value; InvalidInput when it holds what no message can."""
    message = message_type()
    try:
        _fill(message, value)
    except UnicodeEncodeError:
        raise InvalidInput(
            f"{type(value).__name__} has lone surrogates, which no text has; send valid Unicode"
        ) from None
    except ValueError as error:
        raise InvalidInput(f"{type(value).__name__} has a number that does not fit: {error}") from None
    return message


def unpack(message: Message, value_type: type[ValueT]) -> ValueT:
    """The value of a message; InvalidInput, naming the field, when it breaks a rule of the contract."""
    try:
        return value_type.model_validate(_fields(message))
    except ValidationError as error:
        raise invalid(error) from None


def parse(data: bytes, message_type: type[MessageT]) -> MessageT:
    """The message in some bytes off the wire."""
    try:
        return message_type.FromString(data)
    except DecodeError:
        name = message_type.DESCRIPTOR.full_name
        raise InvalidInput(f"the request is not a valid {name}; check the client's protobuf definitions") from None


def invalid(error: ValidationError) -> InvalidInput:
    """What is wrong with some input, in one line and without repeating the input."""
    faults = [
        f"{'.'.join(str(part)[:60] for part in fault['loc']) or 'value'}: {_fault(fault)}" for fault in error.errors()
    ]
    more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
    return InvalidInput("; ".join(faults[:3]) + more)


def _fault(fault: ErrorDetails) -> str:
    if fault["type"] == "union_tag_invalid":  # pydantic's words repeat what was sent
        return f"{fault['ctx']['discriminator']} has to be one of {fault['ctx']['expected_tags']}"
    return fault["msg"].removeprefix("Value error, ")


def pack_chunk(chunk: Chunk) -> types_pb2.Chunk:
    return types_pb2.Chunk(text=chunk.text, logprobs=chunk.logprobs, entropies=chunk.entropies, margins=chunk.margins)


def unpack_chunk(message: types_pb2.Chunk) -> Chunk:
    return Chunk.model_construct(
        text=message.text,
        logprobs=tuple(message.logprobs),
        entropies=tuple(message.entropies),
        margins=tuple(message.margins),
    )


def pack_token(token: Token) -> router_pb2.Token:
    return router_pb2.Token(answer_id=token.answer_id, author=token.author, text=token.text)


def unpack_token(message: router_pb2.Token) -> Token:
    author: Author = "cloud" if message.author == "cloud" else "edge"
    return Token.model_construct(answer_id=message.answer_id, author=author, text=message.text)


async def every_document(
    list_documents: Callable[[Message], Awaitable[edge_pb2.ListDocumentsResponse]], collection: str
) -> AsyncGenerator[Document]:
    """The documents of all pages that `EdgeService.ListDocuments` gives."""
    request = edge_pb2.ListDocumentsRequest(collection=collection)
    while True:
        page = await list_documents(request)
        for document in page.documents:
            yield unpack(document, Document)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


class _Kind(Enum):
    """How a field is read and written."""

    MAP = auto()
    MESSAGES = auto()
    MESSAGE = auto()
    LIST = auto()
    ENUM = auto()
    PLAIN = auto()


class _Field(NamedTuple):
    """`is_optional` tells zero from nothing; `enum` is the descriptor of an enumeration."""

    name: str
    kind: _Kind
    enum: Any
    is_optional: bool


class _Plan(NamedTuple):
    """Of a message: its fields by number, and what those of them say that were not sent.

    What is not in `unsent` takes the value's own default: enumerations, whose zero is UNSPECIFIED, and counts.
    """

    fields: Mapping[int, _Field]
    unsent: Mapping[str, Any]


@cache
def _plan(descriptor: Descriptor) -> _Plan:
    fields = {one.number: _Field(one.name, _kind(one), one.enum_type, one.has_presence) for one in descriptor.fields}
    unsent: dict[str, Any] = {}
    for one in descriptor.fields:
        field = fields[one.number]
        if field.kind in {_Kind.LIST, _Kind.MESSAGES}:
            unsent[field.name] = ()
        elif field.kind is _Kind.PLAIN and not field.is_optional and one.type != FieldDescriptor.TYPE_INT32:
            unsent[field.name] = one.default_value
    return _Plan(fields, unsent)


def _kind(field: Any) -> _Kind:
    if field.message_type and field.message_type.GetOptions().map_entry:
        return _Kind.MAP
    if field.is_repeated:
        return _Kind.MESSAGES if field.message_type else _Kind.LIST
    if field.message_type:
        return _Kind.MESSAGE
    return _Kind.ENUM if field.enum_type else _Kind.PLAIN


def _fill(message: Message, value: Value) -> None:
    for name, kind, enum, is_optional in _plan(message.DESCRIPTOR).fields.values():
        content = getattr(value, name)
        if content is None or (not content and not is_optional):
            continue
        if kind is _Kind.PLAIN:
            setattr(message, name, content)
        elif kind is _Kind.ENUM:
            setattr(message, name, _enum_number(enum, content))
        elif kind is _Kind.MESSAGE:
            part = getattr(message, name)
            part.SetInParent()
            _fill(part, content)
        elif kind is _Kind.MESSAGES:
            part = getattr(message, name)
            for item in content:
                _fill(part.add(), item)
        elif kind is _Kind.MAP:
            getattr(message, name).update(content)
        else:
            getattr(message, name).extend(content)


def _fields(message: Message) -> dict[str, Any]:
    fields, unsent = _plan(message.DESCRIPTOR)
    found = dict(unsent)
    for field, content in message.ListFields():
        name, kind, enum, _ = fields[field.number]
        if kind is _Kind.PLAIN:
            found[name] = content
        elif kind is _Kind.ENUM:
            found[name] = _enum_name(enum, content)
        elif kind is _Kind.MESSAGE:
            found[name] = _fields(content)
        elif kind is _Kind.MESSAGES:
            found[name] = tuple(map(_fields, content))
        elif kind is _Kind.MAP:
            found[name] = dict(content)
        else:
            found[name] = tuple(content)
    return found


def _prefix(enum: Any) -> str:
    """COST_BASIS_ of COST_BASIS_UNSPECIFIED."""
    return str(enum.values_by_number[0].name).removesuffix("UNSPECIFIED")


@cache
def _enum_number(enum: Any, name: str) -> int:
    return 0 if name == "UNKNOWN" else int(enum.values_by_name[_prefix(enum) + name].number)


def _enum_name(enum: Any, number: int) -> str:
    if number not in enum.values_by_number:
        raise InvalidInput(f"{enum.name} has no value {number}; update this program or use an older client")
    return str(enum.values_by_number[number].name).removeprefix(_prefix(enum))


# --- errors -----------------------------------------------------------------------------------------------------------


def status_metadata(error: EdgewiseError) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata that carries `google.rpc.Status`, so that a client can raise the same error again."""
    status = status_pb2.Status(code=grpc.StatusCode[error.code].value[0], message=error.message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=_DOMAIN))
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        status.details.add().Pack(retry)
    return ((_STATUS_KEY, status.SerializeToString()),)


def error_of(call: grpc.aio.AioRpcError, unavailable: type[EdgewiseError] = EdgeUnavailable) -> EdgewiseError:
    """The error behind a failed call: ours if the server sent one, else the leaf nearest to its status."""
    message = call.details() or "no details were given"
    metadata: Any = call.trailing_metadata() or ()
    for key, value in metadata:
        if key == _STATUS_KEY and isinstance(value, bytes):
            reason, retry_after_s = _details(value)
            if reason in LEAVES:
                return LEAVES[reason](message, retry_after_s=retry_after_s)
    nearest: dict[grpc.StatusCode, type[EdgewiseError]] = {
        grpc.StatusCode.UNAVAILABLE: unavailable,
        grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
        grpc.StatusCode.CANCELLED: Cancelled,
        grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
        grpc.StatusCode.PERMISSION_DENIED: Forbidden,
        grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
        grpc.StatusCode.NOT_FOUND: NotFound,
        grpc.StatusCode.ALREADY_EXISTS: Conflict,
        grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    }
    return nearest.get(call.code(), Internal)(message)


def _details(data: bytes) -> tuple[str, float | None]:
    status = status_pb2.Status.FromString(data)
    reason, retry_after_s = "", None
    for detail in status.details:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == _DOMAIN:
            reason = info.reason
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    return reason, retry_after_s


def message_class(descriptor: Any) -> type[Message]:
    return message_factory.GetMessageClass(descriptor)
