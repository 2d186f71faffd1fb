"""Values go over the wire and come back the same: None stays None, zero stays zero, and nonsense is refused."""

from __future__ import annotations

import asyncio
import types as python
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import grpc
import pytest
from google.protobuf.message import Message

from edgewise import types
from edgewise.errors import LEAVES, EdgewiseError, InvalidInput
from edgewise.rpc import Context, Service, open_channel, start_server
from edgewise.types import (
    Chunk,
    Completion,
    CostBasis,
    Done,
    Grade,
    Privacy,
    Question,
    Record,
    Sampling,
    SideStatus,
    Text,
    Token,
    Tokens,
    Turn,
    Upload,
    Value,
)
from edgewise.v1 import router_pb2, router_pb2_grpc, types_pb2
from edgewise.wire import (
    error_of,
    message_class,
    pack,
    pack_chunk,
    pack_token,
    parse,
    unpack,
    unpack_chunk,
    unpack_token,
)
from tests.unit.test_tree import pairs

PAIRS = [(value, message) for value, message in pairs() if value is not Upload]  # whose bytes go apart
NAMES = [value.__name__ for value, _ in PAIRS]


def full(annotation: Any) -> Any:
    """Something that fills a field of a type, and is not its default."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return arguments[-1]
    if origin is tuple:
        return (full(arguments[0]), full(arguments[0]))
    if origin is dict:
        return {"trust": 0.5, "": -1.0}
    if origin in {Union, python.UnionType}:
        return full(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, Value):
        return filled(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return list(annotation)[-1]
    simple: dict[type, object] = {str: "wörd 日本 \0\n", int: 3, float: 0.5, bool: True, bytes: b"\xff"}
    return simple[annotation]


def filled(value_type: type[Value]) -> Value:
    return value_type.model_validate({name: full(hint) for name, hint in get_type_hints(value_type).items()
                                      if name in value_type.model_fields})  # fmt: skip


def bare(value_type: type[Value]) -> Value:
    """Only what must be there, and empty where it may be."""
    needed = {name for name, field in value_type.model_fields.items() if field.is_required()}
    content = {name: getattr(filled(value_type), name) for name in needed}
    return value_type.model_validate(content)


def there_and_back(value: Value) -> Value:
    descriptor = next(message for value_type, message in PAIRS if value_type is type(value))
    message = pack(value, message_class(descriptor))
    return unpack(parse(message.SerializeToString(), type(message)), type(value))


@pytest.mark.parametrize(("value_type", "_message"), PAIRS, ids=NAMES)
def test_every_value_comes_back_full_or_bare(value_type: type[Value], _message: object) -> None:
    for value in (filled(value_type), bare(value_type)):
        assert there_and_back(value) == value


def optional_numbers() -> Iterator[tuple[type[Value], str, float]]:
    for value_type, _ in PAIRS:
        for name, hint in get_type_hints(value_type).items():
            if type(None) in get_args(hint) and {int, float} & set(get_args(hint)):
                yield value_type, name, 0.0 if float in get_args(hint) else 0


@pytest.mark.parametrize(("value_type", "name", "zero"), list(optional_numbers()))
def test_an_unknown_number_is_not_zero(value_type: type[Value], name: str, zero: float) -> None:
    for number in (None, zero):
        if value_type is Question and name == "max_latency_s" and number == 0:
            continue  # no time at all is no question
        value = filled(value_type).model_copy(update={name: number})
        assert getattr(there_and_back(value), name) == number


def test_every_optional_number_was_found() -> None:
    found = {(value_type, name) for value_type, name, _ in optional_numbers()}
    assert {
        (Completion, "cost_usd"),
        (Done, "first_kept_s"),
        (Record, "propensity"),
        (SideStatus, "parameters"),
    } <= found


@pytest.mark.parametrize("label", Privacy)
def test_every_label_comes_back(label: Privacy) -> None:
    assert there_and_back(Text(value="x", label=label)) == Text(value="x", label=label)


def test_unknown_is_unspecified_on_the_wire_and_no_basis_as_well() -> None:
    assert pack(Text(value="x"), types_pb2.Text).label == types_pb2.PRIVACY_UNSPECIFIED
    assert unpack(types_pb2.Text(value="x"), Text).label is Privacy.UNKNOWN
    end = Completion(finish_reason="stop", tokens=Tokens(), model="m")
    assert pack(end, types_pb2.Completion).cost_basis == types_pb2.COST_BASIS_UNSPECIFIED
    assert unpack(pack(end, types_pb2.Completion), Completion).cost_basis is None


@pytest.mark.parametrize("basis", [*CostBasis, None])
def test_every_basis_comes_back(basis: CostBasis | None) -> None:
    end = Completion(finish_reason="stop", tokens=Tokens(), model="m", cost_basis=basis)
    assert there_and_back(end) == end


def test_an_absent_sampling_is_none_and_an_empty_one_has_the_defaults() -> None:
    assert unpack(router_pb2.AskRequest(text="x"), Question).sampling is None
    assert unpack(router_pb2.AskRequest(text="x", sampling=types_pb2.Sampling()), Question).sampling == Sampling()


def test_the_hot_ones_come_back() -> None:
    for chunk in (Chunk(text=""), Chunk(text="wörd", logprobs=(-0.5, 0.0), entropies=(1.5, 0.0), margins=(2.0, 9.0))):
        assert unpack_chunk(pack_chunk(chunk)) == chunk
        assert unpack(pack_chunk(chunk), Chunk) == chunk
    token = Token(answer_id="a", author="cloud", text="日")
    assert unpack_token(pack_token(token)) == token
    assert unpack(pack_token(token), Token) == token


@pytest.mark.parametrize(
    ("message", "value_type", "words"),
    [
        (types_pb2.Text(value="x", label=99), Text, "Privacy has no value 99"),  # type: ignore[arg-type]  # as a newer client
        (types_pb2.Message(role="robot"), types.Message, "role"),
        (router_pb2.AskRequest(text="x", max_cost_usd=-1), Question, "max_cost_usd"),
        (router_pb2.AskRequest(text="x", max_latency_s=0), Question, "max_latency_s"),
        (router_pb2.AskRequest(text="x", max_cost_usd=float("nan")), Question, "max_cost_usd"),
        (router_pb2.AskRequest(text="x", request_id="x" * 201), Question, "request_id"),
        (router_pb2.AskRequest(text="x", sampling=types_pb2.Sampling(max_tokens=0)), Question, "sampling.max_tokens"),
        (router_pb2.AskRequest(text="x", history=[router_pb2.Turn(role="robot")]), Question, "history.0"),
        (router_pb2.Grade(record_id="r", grader="me", score=1.5), Grade, "score"),
        (router_pb2.Grade(record_id="r", score=1), Grade, "grader"),
        (types_pb2.Prompt(), types.Prompt, "messages"),
    ],
)
def test_a_message_that_breaks_a_rule_is_refused_by_name(message: Message, value_type: type[Value], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        unpack(message, value_type)
    assert words in caught.value.message


def test_bytes_that_are_no_message_are_refused() -> None:
    for data in (b"\xff\xff\xff", b"\x12\x02\xc3\x28"):  # the second one has a string that is not UTF-8
        with pytest.raises(InvalidInput, match=r"edgewise\.v1\.AskRequest"):
            parse(data, router_pb2.AskRequest)


@pytest.mark.parametrize(
    "question",
    [
        Question(text="a\ud800b" * 1000),
        Question(text="x", collections=("\udfff",)),
        Question(text="x", history=(Turn(role="user", text=Text(value="\ud800")),)),
    ],
)
def test_a_lone_surrogate_is_refused_in_words(question: Question) -> None:
    with pytest.raises(InvalidInput, match="valid Unicode") as caught:
        pack(question, router_pb2.AskRequest)
    assert len(caught.value.message) < 200


def test_a_number_that_does_not_fit_is_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match="Tokens"):
        pack(Tokens(prompt_tokens=2**40), types_pb2.Tokens)


class Failing:
    """A RouterService whose every call fails in one way."""

    def __init__(self, error: EdgewiseError) -> None:
        self._error = error

    async def ListModes(self, _: object, __: Context) -> router_pb2.ListModesResponse:
        raise self._error

    Ask = Explain = ListRecords = GetRecord = GradeAnswer = ListModes
    StartExperiment = GetExperiment = StopExperiment = ExportTrace = Forget = ListModes


@pytest.mark.parametrize("name", LEAVES)
def test_every_error_arrives_as_itself(name: str) -> None:
    async def main() -> None:
        sent = LEAVES[name]("it went «wrong»", retry_after_s=2.5)
        descriptor = router_pb2.DESCRIPTOR.services_by_name["RouterService"]
        server, address = await start_server([Service(descriptor, Failing(sent))], "127.0.0.1:0")
        async with open_channel(address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await router_pb2_grpc.RouterServiceStub(channel).ListModes(router_pb2.ListModesRequest())
        await server.stop(None)
        received = error_of(caught.value)
        assert caught.value.code() is grpc.StatusCode[sent.code]
        assert type(received) is type(sent)
        assert (received.message, received.retry_after_s) == (sent.message, 2.5)

    asyncio.run(main())
