"""What a server says that it counted, held against what was seen of it: a bill is not true because it is a number.

A token is at least one byte, and no answer was written without any. What breaks that, or the limit that was asked for,
is impossible. What only surprises is doubtful: hidden reasoning that is not told apart, say.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.openai_stream import Usage
from edgewise.types import Options, Prompt

_OVERHEAD = 512  # tokens that a chat template, or a provider's own words, may add to a prompt
_OVERHEAD_A_MESSAGE = 32
_SLACK = 16  # tokens that end or begin an answer and are not text
_LONGEST = 64  # characters of a token, on the average of an answer


@dataclass(frozen=True, slots=True)
class Seen:
    """Our own count: bytes and messages that were sent, characters and pieces that came, and what was allowed."""

    prompt_bytes: int
    messages: int
    characters: int
    pieces: int
    max_tokens: int

    @classmethod
    def of(cls, prompt: Prompt, options: Options, characters: int, pieces: int) -> Seen:
        texts = (*(message.content.value for message in prompt.messages), options.response_schema)
        size = sum(len(text.encode("utf-8", "replace")) for text in texts)
        return cls(size, len(prompt.messages), characters, pieces, options.sampling.max_tokens)

    @property
    def most_prompt_tokens(self) -> int:
        return self.prompt_bytes + _OVERHEAD + _OVERHEAD_A_MESSAGE * self.messages

    @property
    def most_shown_tokens(self) -> int:
        """A server that ignores the limit may bill what it wrote."""
        return max(self.max_tokens, self.pieces) + _SLACK


def impossible(usage: Usage, seen: Seen) -> str:
    """Why it cannot be true; empty when it can."""
    tokens, shown = usage.tokens, usage.completion_tokens - usage.reasoning_tokens
    if tokens.prompt_tokens == 0 and seen.prompt_bytes:
        return "no tokens for a prompt"
    if tokens.prompt_tokens > seen.most_prompt_tokens:
        return f"{tokens.prompt_tokens} tokens for a prompt of {seen.prompt_bytes} bytes"
    if tokens.cached_tokens > tokens.prompt_tokens:
        return f"{tokens.cached_tokens} cached tokens of {tokens.prompt_tokens}"
    if shown < 0:
        return f"{usage.reasoning_tokens} tokens of reasoning among {tokens.completion_tokens}"
    if shown == 0 and seen.characters:
        return "no tokens for a text"
    if shown > seen.most_shown_tokens:
        return f"{shown} tokens where {seen.max_tokens} were allowed"
    return ""


def doubtful(usage: Usage, seen: Seen) -> str:
    """Why it is odd though it may be true; empty when it is not."""
    shown = usage.completion_tokens - usage.reasoning_tokens
    if shown > 4 * seen.characters + _SLACK:
        return f"{shown} tokens for {seen.characters} characters"
    if seen.characters > _LONGEST * shown:
        return f"{seen.characters} characters in {shown} tokens"
    if seen.pieces > 2 * shown + _SLACK:
        return f"{seen.pieces} pieces of {shown} tokens"
    return ""
