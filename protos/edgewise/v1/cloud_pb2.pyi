from edgewise.v1 import types_pb2 as _types_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CloudServiceGenerateRequest(_message.Message):
    __slots__ = ("prompt", "options", "idempotency_key")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    prompt: _types_pb2.Prompt
    options: _types_pb2.Options
    idempotency_key: str
    def __init__(self, prompt: _Optional[_Union[_types_pb2.Prompt, _Mapping]] = ..., options: _Optional[_Union[_types_pb2.Options, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CloudServiceGenerateResponse(_message.Message):
    __slots__ = ("chunk", "completion")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    chunk: _types_pb2.Chunk
    completion: _types_pb2.Completion
    def __init__(self, chunk: _Optional[_Union[_types_pb2.Chunk, _Mapping]] = ..., completion: _Optional[_Union[_types_pb2.Completion, _Mapping]] = ...) -> None: ...

class FetchInfoRequest(_message.Message):
    __slots__ = ("query", "idempotency_key")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    query: _types_pb2.Query
    idempotency_key: str
    def __init__(self, query: _Optional[_Union[_types_pb2.Query, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class FetchInfoResponse(_message.Message):
    __slots__ = ("findings",)
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    findings: _types_pb2.Findings
    def __init__(self, findings: _Optional[_Union[_types_pb2.Findings, _Mapping]] = ...) -> None: ...

class ForgetAnswersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ForgetAnswersResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: int
    def __init__(self, answers: _Optional[int] = ...) -> None: ...

class CloudServiceGetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CloudServiceGetStatusResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: _types_pb2.SideStatus
    def __init__(self, status: _Optional[_Union[_types_pb2.SideStatus, _Mapping]] = ...) -> None: ...
