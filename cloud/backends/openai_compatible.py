"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, llama-server, Ollama and many more.

Every failure of the server becomes a CloudUnavailable that says what to do, so that the router can go on without a
cloud. Only two are different: Overloaded (429, with the time to wait), and InvalidInput for a request that the server
itself calls wrong. A try is repeated only while nothing has been answered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from cloud.backends.openai_errors import Translator, patience, transient
from cloud.config import CloudSettings
from cloud.prices import cost, flops
from edgewise.errors import CloudUnavailable, NotReady
from edgewise.types import (
    Chunk,
    Completion,
    CostBasis,
    FinishReason,
    Options,
    Prompt,
    Sampling,
    SideStatus,
    Timings,
    Tokens,
)

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream

log = logging.getLogger(__name__)

_Count = Annotated[int, Field(ge=0, lt=2**31)]
_FINISH: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


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


class _Cached(BaseModel):
    cached_tokens: _Count | None = None


class _Usage(BaseModel):
    prompt_tokens: _Count
    completion_tokens: _Count
    prompt_tokens_details: _Cached | None = None


class _Event(BaseModel):
    """The parts of a streamed chunk that count here; servers add fields of their own."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None


class OpenAICompatible:
    """One model on one server. NotReady when a setting is missing."""

    def __init__(self, settings: CloudSettings) -> None:
        if not settings.base_url or not settings.model:
            missing = "cloud.base_url" if not settings.base_url else "cloud.model"
            raise NotReady(f"the backend openai_compatible needs {missing}; set it in edgewise.toml")
        self._settings = settings
        self._price = settings.billed_price()
        key = settings.read_api_key()
        self._errors = Translator(settings, has_key=bool(key))
        self._client = _client(settings, key)

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        stream = await self._begin(_request(prompt, options.sampling, self._settings))
        finish_reason: str | None = None
        usage: _Usage | None = None
        began: float | None = None
        pieces = 0
        try:
            while (event := await self._next(stream)) is not None:
                usage = event.usage or usage
                for choice in event.choices or ():
                    finish_reason = choice.finish_reason or finish_reason
                    if choice.delta and choice.delta.content:
                        began = began or time.monotonic()
                        pieces += 1
                        yield Chunk(text=choice.delta.content, logprobs=_logprobs(choice))
        finally:
            await stream.close()
        tokens, money, work = _estimated(prompt, pieces), None, None
        if usage:
            tokens = _counted(usage)
            money, work = cost(tokens, self._price), flops(self._settings.parameters, tokens)
        else:
            log.debug("%s reported no usage: tokens are estimated, the cost is unknown", self._errors.where)
        yield Completion(
            finish_reason=self._finish(finish_reason),
            tokens=tokens,
            timings=Timings(decode_s=time.monotonic() - began if began else None),
            model=self._settings.model,
            cost_usd=money,
            cost_basis=None if money is None else CostBasis.BILLED,
            flops=work,
        )

    async def status(self) -> SideStatus:
        """What the settings say; the server itself is asked with the first question, not before."""
        return SideStatus(
            ready=True,
            model=self._settings.model,
            label=f"{self._settings.model} at {self._settings.server}",
            parameters=self._settings.parameters,
            usd_per_mtok_prompt=self._price.usd_per_mtok_prompt if self._price else None,
            usd_per_mtok_completion=self._price.usd_per_mtok_completion if self._price else None,
            cost_basis=self._price.basis if self._price else None,
        )

    async def close(self) -> None:
        await self._client.close()

    async def _begin(self, request: dict[str, object]) -> AsyncStream[object]:
        from openai import APIError, AsyncStream
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_before_delay

        retrying = AsyncRetrying(
            retry=retry_if_exception(transient),
            wait=patience,
            stop=stop_after_attempt(self._settings.attempts) | stop_before_delay(self._settings.retry_budget_s),
            reraise=True,
        )
        try:
            return await retrying(
                self._client.post,
                "/chat/completions",
                body=request,
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
            )
        except APIError as error:
            raise self._errors.refused(error) from None

    async def _next(self, stream: AsyncStream[object]) -> _Event | None:
        """The next event; None at the end. The wait is bounded here, as keep-alives would feed a socket's timeout."""
        from openai import APIError

        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return _Event.model_validate(await anext(stream))
        except StopAsyncIteration:
            return None
        except TimeoutError:
            raise self._errors.too_slow() from None
        except APIError as error:
            raise self._errors.broken_off(error) from None
        except ValueError:  # not JSON, not UTF-8, or not what a chunk looks like
            raise self._errors.garbage() from None

    def _finish(self, reason: str | None) -> FinishReason:
        if reason is None:  # the stream closed in good order, but the answer had not ended
            raise self._errors.garbage()
        if reason not in _FINISH:
            raise CloudUnavailable(f"{self._errors.where} withheld its answer ({reason[:50]}); rephrase the question")
        return _FINISH[reason]


def _client(settings: CloudSettings, key: str) -> AsyncOpenAI:
    try:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout
    except ModuleNotFoundError:
        raise NotReady("the backend openai_compatible needs a library; install edgewise[cloud]") from None
    client = AsyncOpenAI(
        api_key=key or "none",  # an empty one would be looked up in the environment, and may belong to another server
        base_url=settings.base_url,
        max_retries=0,
        timeout=Timeout(settings.timeout_s, connect=settings.connect_timeout_s),
        http_client=DefaultAsyncHttpxClient(follow_redirects=False),  # a prompt goes where the settings say
    )
    client.organization = client.project = None  # the environment's, too
    return client


def _request(prompt: Prompt, sampling: Sampling, settings: CloudSettings) -> dict[str, object]:
    """The body. What is the server's own default is left out, because some servers refuse what they do not know."""
    request: dict[str, object] = {
        "model": settings.model,
        "messages": [{"role": message.role, "content": message.content.value} for message in prompt.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        settings.max_tokens_field: sampling.max_tokens,
        "temperature": sampling.temperature,
    }
    if sampling.top_p < 1:
        request["top_p"] = sampling.top_p
    if sampling.seed is not None:
        request["seed"] = sampling.seed
    if sampling.stop:
        request["stop"] = list(sampling.stop)
    if sampling.top_k:
        request["top_k"] = sampling.top_k
    if sampling.min_p:
        request["min_p"] = sampling.min_p
    if sampling.repeat_penalty != 1:  # llama-server's name, and vLLM's
        request["repeat_penalty"] = request["repetition_penalty"] = sampling.repeat_penalty
    if settings.logprobs:
        request["logprobs"] = True
    return {field: value for field, value in request.items() if field not in settings.omit}


def _logprobs(choice: _Choice) -> tuple[float, ...]:
    content = choice.logprobs.content if choice.logprobs else None
    return tuple(token.logprob for token in content or ())


def _counted(usage: _Usage) -> Tokens:
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Tokens(
        prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens, cached_tokens=cached or 0
    )


def _estimated(prompt: Prompt, pieces: int) -> Tokens:
    """For a server that does not count: four characters a prompt token, and one token a streamed piece."""
    characters = sum(len(message.content.value) for message in prompt.messages)
    return Tokens(prompt_tokens=-(-characters // 4), completion_tokens=pieces)
