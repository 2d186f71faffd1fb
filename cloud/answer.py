"""A whole answer, and what tells one request from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgewise.types import Chunk, Completion, Options, Privacy, Prompt


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, kept small because many are: all its text as one piece, and its end as JSON."""

    text: str
    logprobs: tuple[float, ...]
    entropies: tuple[float, ...]
    margins: tuple[float, ...]
    end: str

    @classmethod
    def of(cls, chunks: Sequence[Chunk], end: Completion) -> Answer:
        return cls(
            "".join([chunk.text for chunk in chunks]),
            tuple([value for chunk in chunks for value in chunk.logprobs]),
            tuple([value for chunk in chunks for value in chunk.entropies]),
            tuple([value for chunk in chunks for value in chunk.margins]),
            end.model_dump_json(),
        )

    def events(self, **changed: object) -> Iterator[Chunk | Completion]:
        """It again, with some fields of its end as they are now."""
        if self.text:
            yield Chunk(text=self.text, logprobs=self.logprobs, entropies=self.entropies, margins=self.margins)
        yield Completion.model_validate_json(self.end).model_copy(update=changed)

    @property
    def size(self) -> int:
        """Bytes, about."""
        return 4 * len(self.text) + len(self.end) + 32 * len(self.logprobs + self.entropies + self.margins)


def digest(*parts: str) -> bytes:
    """A hash that no other parts have."""
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def request_digest(prompt: Prompt, options: Options, *others: str) -> bytes:
    """Of everything that determines the answer to a request: not of how soon it is wanted."""
    words = json.dumps([(message.role, message.content.value) for message in prompt.messages])
    return digest(words, options.model_dump_json(exclude={"timeout_s", "priority"}), *others)


def is_private(prompt: Prompt) -> bool:
    return any(message.content.label is Privacy.PRIVATE for message in prompt.messages)


def is_public(prompt: Prompt) -> bool:
    return all(message.content.label is Privacy.PUBLIC for message in prompt.messages)
