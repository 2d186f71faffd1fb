"""A whole answer, and what tells one request from another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from edgewise.types import Chunk, Completion, Options, Privacy, Prompt


@dataclass(frozen=True, slots=True)
class Answer:
    """All of an answer's text as one chunk, and its end."""

    chunk: Chunk
    end: Completion

    @property
    def size(self) -> int:
        """Bytes, about."""
        numbers = len(self.chunk.logprobs) + len(self.chunk.entropies) + len(self.chunk.margins)
        return 4 * len(self.chunk.text) + 32 * numbers


@dataclass(slots=True)
class Listener:
    """Puts an answer together while it passes by."""

    chunks: list[Chunk] = field(default_factory=list)

    def hear(self, event: Chunk | Completion) -> Answer | None:
        """The whole answer with its last event, None before."""
        if isinstance(event, Chunk):
            self.chunks.append(event)
            return None
        whole = Chunk(
            text="".join(chunk.text for chunk in self.chunks),
            logprobs=tuple(value for chunk in self.chunks for value in chunk.logprobs),
            entropies=tuple(value for chunk in self.chunks for value in chunk.entropies),
            margins=tuple(value for chunk in self.chunks for value in chunk.margins),
        )
        return Answer(whole, event)


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
