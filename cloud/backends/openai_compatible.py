"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, llama-server, Ollama and many more.

Every failure of the server becomes a CloudUnavailable that says what to do, so that the router can go on without a
cloud. Only two are different: Overloaded (429, with the time to wait), and InvalidInput for a request that the server
itself calls wrong. This is one try; what repeats it, or asks another upstream, is put together in `cloud/gateway.py`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from cloud.backends.figures import UpstreamFigures
from cloud.backends.openai_errors import Translator
from cloud.backends.usage import Seen, doubtful, impossible
from cloud.config import CloudSettings
from cloud.prices import cost, flops
from edge.openai_stream import Answer, Patience, Usage, open_client, post, request_body
from edgewise.errors import NotReady
from edgewise.types import Chunk, Completion, CostBasis, FinishReason, Options, Prompt, SideStatus

if TYPE_CHECKING:
    from openai import AsyncStream

log = logging.getLogger(__name__)

# What a token at most is of, before a server counts as one that knows no end: some stream a character at a time.
_PIECES = 8
_CHARACTERS = 64


class OpenAICompatible:
    """One model on one server. NotReady when a setting is missing."""

    def __init__(self, settings: CloudSettings, figures: UpstreamFigures | None = None) -> None:
        if not settings.base_url or not settings.model:
            missing = "cloud.base_url" if not settings.base_url else "cloud.model"
            raise NotReady(f"the backend openai_compatible needs {missing}; set it in edgewise.toml")
        self._settings = settings
        self._figures = figures or UpstreamFigures(settings.model)
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
        async with limits.piece():
            stream = await self._begin(self._request(prompt, options))
        answer, is_endless = Answer(stream, prompt, self._errors, limits), False
        most = options.sampling.max_tokens
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk
                if answer.pieces > _PIECES * most or answer.characters > _CHARACTERS * (most + 16):
                    is_endless = True  # it knows no limit, so it gets one
                    break
        yield self._completion(answer, prompt, options, is_endless=is_endless)

    def _completion(self, answer: Answer, prompt: Prompt, options: Options, *, is_endless: bool) -> Completion:
        tokens, money, work = answer.estimate, None, None
        finish_reason: FinishReason = "length" if is_endless else answer.finish_reason
        if (usage := self._believed(answer, prompt, options, is_endless=is_endless)) is not None:
            tokens = usage.tokens
            money, work = cost(tokens, self._price), flops(self._settings.parameters, tokens)
        return Completion(
            finish_reason=finish_reason,
            tokens=tokens,
            timings=answer.timings,
            model=self._settings.model,
            cost_usd=money,
            cost_basis=None if money is None else CostBasis.BILLED,
            flops=work,
        )

    def _believed(self, answer: Answer, prompt: Prompt, options: Options, *, is_endless: bool) -> Usage | None:
        """What the server counted, if it did and that can be true. The log says why it is not believed."""
        where, usage = self._errors.where, answer.usage
        if is_endless:
            log.warning("%s wrote past max_tokens and was cut off: tokens are estimated, the cost is unknown", where)
            return None
        if not answer.says_usage:
            log.debug("%s reported no usage: tokens are estimated, the cost is unknown", where)
            return None
        seen = Seen.of(prompt, options, answer.characters, answer.pieces)
        if fault := "no counts" if usage is None else impossible(usage, seen):
            self._figures.usage_impossible += 1
            log.warning("%s reported impossible usage (%s): tokens are estimated, the cost is unknown", where, fault)
            return None
        if usage is not None and (doubt := doubtful(usage, seen)):
            self._figures.usage_doubtful += 1
            log.warning("%s reported doubtful usage (%s); it is billed as reported", where, doubt)
        return usage

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

        try:
            return await post(self._client, request)
        except APIError as error:
            raise self._errors.refused(error) from None
