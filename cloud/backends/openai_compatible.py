"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, llama-server, Ollama and many more.

Every failure of the server becomes a CloudUnavailable that says what to do, so that the router can go on without a
cloud. Only two are different: Overloaded (429, with the time to wait), and InvalidInput for a request that the server
itself calls wrong. A try is repeated only while nothing has been answered.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING

from cloud.backends.openai_errors import Translator, patience, transient
from cloud.config import CloudSettings
from cloud.prices import cost, flops
from edge.openai_stream import Answer, Patience, open_client, post, request_body
from edgewise.errors import NotReady
from edgewise.types import Chunk, Completion, CostBasis, Options, Prompt, SideStatus

if TYPE_CHECKING:
    from openai import AsyncStream

log = logging.getLogger(__name__)


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
        self._client = open_client(
            settings.base_url,
            key,
            timeout_s=settings.timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
            local=False,
        )

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        self._check_capable(options)
        limits = Patience(self._errors, self._settings.timeout_s, options.timeout_s)
        async with nullcontext() if options.timeout_s is None else limits.piece():
            stream = await self._begin(self._request(prompt, options))
        answer = Answer(stream, prompt, self._errors, limits)
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk
        tokens, money, work = answer.tokens, None, None
        if answer.is_counted:
            money, work = cost(tokens, self._price), flops(self._settings.parameters, tokens)
        else:
            log.debug("%s reported no usage: tokens are estimated, the cost is unknown", self._errors.where)
        yield Completion(
            finish_reason=answer.finish_reason,
            tokens=tokens,
            timings=answer.timings,
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

    def _check_capable(self, options: Options) -> None:
        """A schema is for the server to obey or to refuse; for the others its API has no field."""
        wishes = {"grammar": options.grammar, "adapter": options.adapter, "surprisal": options.surprisal}
        for wish, asked in wishes.items():
            if asked:
                raise NotReady(f"{self._errors.where} cannot do {wish}; ask without it")

    def _request(self, prompt: Prompt, options: Options) -> dict[str, object]:
        settings = self._settings
        body = request_body(
            settings.model,
            prompt,
            options,
            max_tokens_field=settings.max_tokens_field,
            logprobs=settings.logprobs,
        )
        return {field: value for field, value in body.items() if field not in settings.omit}

    async def _begin(self, request: dict[str, object]) -> AsyncStream[object]:
        from openai import APIError
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_before_delay

        retrying = AsyncRetrying(
            retry=retry_if_exception(transient),
            wait=patience,
            stop=stop_after_attempt(self._settings.attempts) | stop_before_delay(self._settings.retry_budget_s),
            reraise=True,
        )
        try:
            return await retrying(post, self._client, request)
        except APIError as error:
            raise self._errors.refused(error) from None
