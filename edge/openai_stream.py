"""OpenAI's chat completions as both sides speak them: the client, the request, and the answer as it streams in.

Either side has its own words for what goes wrong (`Faults`), as either has its own settings to point at.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import BaseModel, Field, ValidationError

from edgewise.errors import DeadlineExceeded, EdgewiseError, InvalidInput, NotReady
from edgewise.types import Chunk, FinishReason, Options, Prompt, Timings, Tokens

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI, AsyncStream

_Count = Annotated[int, Field(ge=0, lt=2**31)]
_Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_IMPOSSIBLE = -9999.0  # as OpenAI writes it; JSON has no infinity
_MOST_EVENTS = 500_000  # of an answer; a model that reasons sends many without text
_FINISH: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


class Faults(Protocol):
    """What a side says of an answer that does not end as it should."""

    def too_slow(self) -> EdgewiseError: ...

    def broken_off(self, error: APIError) -> EdgewiseError: ...

    def garbage(self) -> EdgewiseError: ...

    def withheld(self, reason: str) -> EdgewiseError: ...


# --- asking -----------------------------------------------------------------------------------------------------------


def open_client(base_url: str, key: str, *, timeout_s: float, connect_timeout_s: float, local: bool) -> AsyncOpenAI:
    """A client that retries nothing and follows no redirect: a prompt goes where the settings say.

    For a `local` server it also ignores the environment's proxies, which HTTP_PROXY does not spare loopback addresses,
    and opens a connection for each request: llama-server closes one that it has streamed over, without saying so.
    """
    try:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        from edge.openai_bodies import bound
    except ModuleNotFoundError:
        raise NotReady("asking an OpenAI-compatible server needs a library; pip install openai") from None
    client = AsyncOpenAI(
        api_key=key or "none",  # an empty one would be looked up in the environment, and may belong to another server
        base_url=base_url,
        max_retries=0,
        timeout=Timeout(timeout_s, connect=connect_timeout_s),
        default_headers={"Connection": "close"} if local else None,
        http_client=DefaultAsyncHttpxClient(
            follow_redirects=False, trust_env=not local, event_hooks={"response": [bound]}
        ),
    )
    client.organization = client.project = None  # the environment's, too
    return client


def request_body(
    model: str, prompt: Prompt, options: Options, *, max_tokens_field: str = "max_tokens", logprobs: bool = False
) -> dict[str, object]:
    """The body. What is the server's own default is left out, because some servers refuse what they do not know."""
    sampling = options.sampling
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content.value} for message in prompt.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        max_tokens_field: sampling.max_tokens,
        "temperature": sampling.temperature,
    }
    if sampling.top_p < 1:
        body["top_p"] = sampling.top_p
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if sampling.min_p:
        body["min_p"] = sampling.min_p
    if sampling.repeat_penalty != 1:  # llama-server's name, and vLLM's
        body["repeat_penalty"] = body["repetition_penalty"] = sampling.repeat_penalty
    if options.response_schema:
        body["response_format"] = _response_format(options.response_schema)
    if logprobs:
        body["logprobs"] = True
    return body


async def post(client: AsyncOpenAI, body: Mapping[str, object]) -> AsyncStream[object]:
    """The SDK's own errors come through: only their translator knows what to advise."""
    from openai import AsyncStream

    return await client.post(
        "/chat/completions", body=body, cast_to=object, stream=True, stream_cls=AsyncStream[object]
    )


def _response_format(schema: str) -> dict[str, object]:
    try:
        parsed = json.loads(schema)
    except ValueError as error:
        raise InvalidInput(f"response_schema is not JSON: {error}; send a JSON Schema") from None
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": parsed}}


# --- listening --------------------------------------------------------------------------------------------------------


class Patience:
    """How long to wait: `piece_s` for each piece of an answer, and `timeout_s` from now on for all of it."""

    def __init__(self, faults: Faults, piece_s: float, timeout_s: float | None = None) -> None:
        self._faults = faults
        self._piece_s = piece_s
        self._timeout_s = timeout_s
        self._until = math.inf if timeout_s is None else _now() + timeout_s

    @asynccontextmanager
    async def piece(self) -> AsyncIterator[None]:
        """Around the wait for one piece. It is bounded here, as keep-alives would feed a socket's timeout."""
        try:
            async with asyncio.timeout_at(min(_now() + self._piece_s, self._until)):
                yield
        except TimeoutError:
            if _now() < self._until:
                raise self._faults.too_slow() from None
            raise DeadlineExceeded(f"no answer within {self._timeout_s:g} s; allow more time") from None


class Answer:
    """One streamed answer: its `chunks`, once; and after them what the server says of the whole."""

    def __init__(self, stream: AsyncStream[object], prompt: Prompt, faults: Faults, patience: Patience) -> None:
        self._stream = stream
        self._prompt = prompt
        self._faults = faults
        self._patience = patience
        self._finish_reason: str | None = None
        self._usage: object = None
        self._measured: _Measured | None = None
        self._began: float | None = None
        self._ended: float | None = None
        self.pieces = 0
        self.characters = 0

    async def chunks(self) -> AsyncGenerator[Chunk]:
        """Closing it closes the connection, by which the server knows that it can stop."""
        logprobs: tuple[float, ...] = ()  # of tokens whose text has not come yet: half a character, say
        events = 0
        try:
            while (event := await self._next()) is not None:
                events += 1
                if events > _MOST_EVENTS:
                    raise self._faults.garbage()
                self._usage = event.usage or self._usage
                self._measured = event.measured or self._measured
                for choice in event.choices or ():
                    self._finish_reason = choice.finish_reason or self._finish_reason
                    logprobs += choice.known_logprobs
                    if choice.delta and choice.delta.content:
                        self._began = self._began or time.monotonic()
                        self.pieces += 1
                        self.characters += len(choice.delta.content)
                        yield Chunk(text=choice.delta.content, logprobs=logprobs)
                        logprobs = ()
            self._ended = time.monotonic()
        finally:
            await self._stream.close()

    async def _next(self) -> _Event | None:
        """The next event; None at the end."""
        from openai import APIError

        try:
            async with self._patience.piece():
                return _Event.model_validate(await anext(self._stream))
        except StopAsyncIteration:
            return None
        except APIError as error:
            raise self._faults.broken_off(error) from None
        except ValueError:  # not JSON, not UTF-8, or not what a chunk looks like
            raise self._faults.garbage() from None

    @property
    def finish_reason(self) -> FinishReason:
        """The side's error for an answer that has not ended, or not as an answer does."""
        if self._finish_reason is None:  # the stream closed in good order, but the answer had not ended
            raise self._faults.garbage()
        if self._finish_reason not in _FINISH:
            raise self._faults.withheld(self._finish_reason[:50])
        return _FINISH[self._finish_reason]

    @property
    def says_usage(self) -> bool:
        """Whether the server says anything of tokens, and be it nonsense."""
        return self._usage is not None

    @property
    def usage(self) -> Usage | None:
        """What the server says that it counted; None when it says nothing, or what cannot be a count."""
        try:
            return None if self._usage is None else Usage.model_validate(self._usage)
        except ValidationError:
            return None

    @property
    def is_counted(self) -> bool:
        """Whether `tokens` are the server's own count, and no estimate."""
        return self.usage is not None

    @property
    def tokens(self) -> Tokens:
        usage = self.usage
        return self.estimate if usage is None else usage.tokens

    @property
    def estimate(self) -> Tokens:
        """For a server that does not count: four characters a prompt token, and one token a streamed piece."""
        characters = sum(len(message.content.value) for message in self._prompt.messages)
        return Tokens(prompt_tokens=-(-characters // 4), completion_tokens=self.pieces)

    @property
    def timings(self) -> Timings:
        """As the server measured them, if it says so; else the time from the first piece to the end."""
        if self._measured is not None:
            return Timings(prompt_s=self._measured.prompt_ms / 1000, decode_s=self._measured.predicted_ms / 1000)
        if self._began is None or self._ended is None:
            return Timings()
        return Timings(decode_s=self._ended - self._began)


class _Delta(BaseModel):
    content: str | None = None


class _Logprob(BaseModel):
    logprob: float


class _Logprobs(BaseModel):
    content: list[_Logprob] | None = None


class _Choice(BaseModel):
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None

    @property
    def known_logprobs(self) -> tuple[float, ...]:
        content = self.logprobs.content if self.logprobs else None
        return tuple(token.logprob if math.isfinite(token.logprob) else _IMPOSSIBLE for token in content or ())


class _Cached(BaseModel):
    cached_tokens: _Count | None = None


class _Reasoned(BaseModel):
    reasoning_tokens: _Count | None = None


class Usage(BaseModel):
    """What a server says that it counted."""

    prompt_tokens: _Count
    completion_tokens: _Count
    prompt_tokens_details: _Cached | None = None
    completion_tokens_details: _Reasoned | None = None

    @property
    def reasoning_tokens(self) -> int:
        """Those of the completion that nobody is shown; 0 where the server does not tell them apart."""
        return (self.completion_tokens_details and self.completion_tokens_details.reasoning_tokens) or 0

    @property
    def tokens(self) -> Tokens:
        return Tokens(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_tokens=(self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0,
        )


class _Measured(BaseModel):
    """llama-server's `timings`."""

    prompt_ms: _Milliseconds
    predicted_ms: _Milliseconds


class _Event(BaseModel):
    """The parts of a streamed chunk that count here; servers add fields of their own."""

    choices: list[_Choice] | None = None
    usage: object = None
    timings: object = None

    @property
    def measured(self) -> _Measured | None:
        """Only llama-server's kind of timings; another server's may be anything."""
        try:
            return _Measured.model_validate(self.timings)
        except ValidationError:
            return None


def _now() -> float:
    return asyncio.get_running_loop().time()
