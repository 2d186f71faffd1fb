"""Texts that remember who may see them, and prompts made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Privacy(StrEnum):
    """Who may see a text. UNKNOWN is UNSPECIFIED on the wire: the router's detectors and policy decide."""

    PUBLIC = "PUBLIC"
    UNKNOWN = "UNKNOWN"
    PRIVATE = "PRIVATE"

    @staticmethod
    def tightest(labels: Iterable[Privacy]) -> Privacy:
        """The label of anything derived from texts with these labels; PUBLIC for none."""
        return max(labels, key=_TIGHTNESS.__getitem__, default=Privacy.PUBLIC)


_TIGHTNESS = {Privacy.PUBLIC: 0, Privacy.UNKNOWN: 1, Privacy.PRIVATE: 2}


class Text(Value):
    """A string that remembers who may see it and where it came from."""

    value: str
    label: Privacy = Privacy.UNKNOWN
    sources: tuple[str, ...] = ()

    @staticmethod
    def ours(value: str) -> Text:
        """Text that the program itself wrote, such as an instruction in a prompt."""
        return Text(value=value, label=Privacy.PUBLIC)

    @staticmethod
    def join(parts: Iterable[Text], separator: str = "") -> Text:
        """One text: the tightest label of its parts, and all their sources in order."""
        parts = tuple(parts)
        return Text(
            value=separator.join(part.value for part in parts),
            label=Privacy.tightest(part.label for part in parts),
            sources=tuple(dict.fromkeys(source for part in parts for source in part.sources)),
        )

    def derive(self, value: str) -> Text:
        """Another string made from this text: it keeps the label and the sources."""
        return self.model_copy(update={"value": value})


class Message(Value):
    role: Literal["system", "user", "assistant"]
    content: Text


class Turn(Value):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    text: Text


class Prompt(Value):
    """A chat prompt, and the version of the template that made it (`router/prompts.py`)."""

    messages: tuple[Message, ...] = Field(min_length=1)
    version: str = ""

    @property
    def label(self) -> Privacy:
        return Privacy.tightest(message.content.label for message in self.messages)


@dataclass(frozen=True, slots=True)
class Released(Generic[T]):
    """A value that may leave the device: the only thing that a cloud port accepts.

    Made in two places: by the egress gate (`router/egress/gate.py`), and by the gateway for what came over its wire.
    """

    value: T
