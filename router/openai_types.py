"""The part of OpenAI's chat API that is honoured. Anything else in a request is refused, never ignored."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from edgewise.errors import InvalidInput
from edgewise.types import Privacy, Question, Sampling, Text, Turn


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _listed(given: object) -> object:
    return [given] if isinstance(given, str) else given


_Some = Annotated[str, Field(min_length=1)]
_Many = Annotated[tuple[_Some, ...], Field(min_length=1, max_length=2048)]
Texts = Annotated[tuple[_Some, ...], BeforeValidator(_listed, json_schema_input_type=_Some | tuple[_Some, ...])]
"""A list of them, or a single one."""


class TextPart(_Body):
    type: Literal["text"]
    text: str


class ChatMessage(_Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[tuple[TextPart, ...], Field(min_length=1)]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(_Body):
    include_usage: bool = True


class TextFormat(_Body):
    type: Literal["text"]

    @property
    def response_schema(self) -> str:
        return ""


class JsonFormat(_Body):
    """Some JSON object."""

    type: Literal["json_object"]

    @property
    def response_schema(self) -> str:
        return '{"type": "object"}'


class NamedSchema(_Body):
    """`strict` or not, the schema is obeyed."""

    name: str
    description: str = ""
    schema_: dict[str, JsonValue] = Field(alias="schema")
    strict: bool | None = None


class SchemaFormat(_Body):
    type: Literal["json_schema"]
    json_schema: NamedSchema

    @property
    def response_schema(self) -> str:
        return json.dumps(self.json_schema.schema_, ensure_ascii=False)


class Extras(_Body):
    """What OpenAI's API has no field for: `extra_body={"edgewise": {...}}` with OpenAI's clients."""

    privacy: Literal["PUBLIC", "PRIVATE"] | None = None
    max_cost_usd: float | None = None
    max_latency_s: float | None = None
    conversation_id: str = ""
    request_id: str = ""
    collections: tuple[str, ...] = ()
    show_drafts: bool = False


class ChatRequest(_Body):
    """Fields with a single allowed value are what clients send by default."""

    model: str
    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: Texts | None = None
    user: str = ""
    n: Literal[1] = 1
    presence_penalty: Literal[0] = 0
    frequency_penalty: Literal[0] = 0
    logprobs: Literal[False] = False
    response_format: Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")] | None = None
    edgewise: Extras = Extras()

    def question(self, default_max_tokens: int) -> Question:
        """The last message is the question, the ones before it are its history."""
        *earlier, last = self.messages
        if last.role != "user":
            raise InvalidInput("the last message must have the role `user`: it is the question")
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise InvalidInput("send max_tokens or max_completion_tokens, not both")
        extras = self.edgewise
        label = Privacy(extras.privacy) if extras.privacy else Privacy.UNKNOWN
        return Question(
            text=last.text,
            request_id=extras.request_id,
            history=tuple(
                Turn(
                    role="system" if message.role == "developer" else message.role,
                    text=Text(value=message.text, label=label),
                )
                for message in earlier
            ),
            conversation_id=extras.conversation_id,
            mode="" if self.model == "default" else self.model,
            user_id=self.user,
            privacy=label,
            max_cost_usd=extras.max_cost_usd,
            max_latency_s=extras.max_latency_s,
            hold=not extras.show_drafts,
            collections=extras.collections,
            response_schema=self.response_format.response_schema if self.response_format else "",
            sampling=self._sampling(default_max_tokens),
        )

    def _sampling(self, default_max_tokens: int) -> Sampling:
        given = {
            "max_tokens": self.max_completion_tokens if self.max_tokens is None else self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop": self.stop,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        return Sampling.model_validate({"max_tokens": default_max_tokens, **chosen})


class EmbeddingRequest(_Body):
    input: Annotated[_Many, BeforeValidator(_listed, json_schema_input_type=_Some | _Many)]
    model: str
    encoding_format: Literal["float", "base64"] = "float"
    user: str = ""
