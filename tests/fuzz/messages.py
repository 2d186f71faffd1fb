"""Any message of the contract: its fields hold what is usual, what is allowed, and what nobody would send."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from edgewise.wire import message_class
from tests.routers import ASKED, VARIANTS

_NUMBERS = {
    FieldDescriptor.TYPE_INT32: (0, 1, 2, 50, -1, 2**31 - 1, -(2**31)),
    FieldDescriptor.TYPE_DOUBLE: (0.0, 0.5, 1.0, 2.0, -1.0, 1e-300, 1e308, float("nan"), float("inf"), float("-inf")),
    FieldDescriptor.TYPE_FLOAT: (0.0, 0.5, float("nan")),
    FieldDescriptor.TYPE_BOOL: (False, True),
    FieldDescriptor.TYPE_BYTES: (b"", b"# A title\n\nSome words.", b"\xff\xfe\0", b"%PDF-1.7", b"PK\3\4" + bytes(30)),
}
_TEXTS = (
    "",
    ASKED,
    "词",
    "\0",
    "../../etc/passwd",
    "a" * 300,
    "{}",
    '{"type": "object"}',
    "x" * 70_000,
    "\u202e\U0001f980",
)
_USUAL = {
    "mode": VARIANTS,
    "modes": VARIANTS,
    "role": ("user", "assistant", "system"),
    "priority": ("", "interactive", "batch"),
    "expand": ("", "window", "section", "document"),
    "origin": ("edge", "cloud"),
    "grammar": ('root ::= "a" | root', "root ::= [", "root ::= ((((("),
    "response_schema": ('{"type": "object"}', '{"$ref": "#"}', '{"pattern": "(a*)*b"}', "[" * 500 + "]" * 500, "3"),
    "page_token": ("0", "-1", "9" * 30, "x"),
    "source": ("notes.md", "a/b.txt", "/etc/passwd", "x.pdf", "x.docx"),
    "collection": ("", "default", "../other"),
    "as_of": ("2026-11-30T00:00:00Z", "yesterday"),
    "since": ("2026-11-30T00:00:00Z", "2d", "yesterday"),
    "score": (0.5,),
    "limit": (1, 20),
}  # fmt: skip


def of(descriptor: Descriptor) -> st.SearchStrategy[Message]:
    return st.builds(lambda given: _filled(descriptor, given), _given(descriptor))


def _given(descriptor: Descriptor) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the fields; most of those that have a usual value."""
    fields = {field.name: _some(field) for field in descriptor.fields}
    return st.fixed_dictionaries({}, optional=fields)


def _some(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    one = _one(field)
    return st.lists(one, max_size=3) if field.is_repeated else one


def _one(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type:
        return of(field.message_type)
    if field.enum_type:
        return st.sampled_from((*field.enum_type.values_by_number, 99, -1))
    any_value = st.sampled_from(_NUMBERS.get(field.type, _TEXTS))
    usual = _USUAL.get(field.name)
    return st.sampled_from(usual) | any_value if usual else any_value


def _filled(descriptor: Descriptor, given: dict[str, Any]) -> Message:
    message = message_class(descriptor)()
    for name, content in given.items():
        field = descriptor.fields_by_name[name]
        target = getattr(message, name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            target.update({entry.key: entry.value for entry in content})
        elif field.message_type and field.is_repeated:
            target.extend(content)
        elif field.message_type:
            target.CopyFrom(content)
        elif field.is_repeated:
            target.extend(content)
        else:
            setattr(message, name, content)
    return message
