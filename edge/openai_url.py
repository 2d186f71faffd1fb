"""The engine on a local OpenAI-compatible server (Ollama, LM Studio, llama-server), for who has one already."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from edge.config import EdgeSettings
from edge.engine import EngineInfo, Load, check_capable, lacks
from edge.openai_errors import Translator
from edge.openai_probe import Probe, Server
from edge.openai_stream import Answer, Patience, open_client, post, request_body
from edgewise.errors import EdgeUnavailable, EdgewiseError, NotReady, Overloaded
from edgewise.place import read_secret
from edgewise.types import Chunk, Completion, Options, Prompt, Scores

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream


class OpenAIUrlEngine:
    """`open` makes one. What its server cannot do is not among its capabilities, and refused when asked for.

    The server keeps the queue, so `Options.priority` means nothing here. Whether it reuses what it has cached can be
    forbidden to llama-server alone: only there does a `cache_key` keep the calls of a comparison apart.
    """

    def __init__(
        self, client: AsyncOpenAI, probe: Probe, server: Server, faults: Translator, settings: EdgeSettings
    ) -> None:
        self._client = client
        self._probe = probe
        self._server = server
        self._faults = faults
        self._settings = settings
        self._running = 0
        self._closed = False
        self._info = EngineInfo(
            model=server.model,
            label=f"{server.model.rpartition('/')[2]} on {faults.where}",
            context_tokens=server.context_tokens,
            parameters=server.parameters,
            capabilities=server.capabilities,
        )

    @classmethod
    async def open(cls, settings: EdgeSettings) -> OpenAIUrlEngine:
        """Ask the server what it has and can do; its model is loaded by that.

        EdgeUnavailable when it is not there, NotReady when it lacks the model or a key, or runs the model elsewhere.
        """
        key = read_secret(settings.api_key_file, "edge.api_key_file")
        client = open_client(
            settings.base_url,
            key,
            timeout_s=settings.timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
            local=True,
        )
        faults = Translator(settings.base_url, settings.timeout_s)
        probe = Probe(client, settings.base_url, faults, settings.timeout_s)
        try:
            server = await probe.server(settings.server_model, may_be_elsewhere=settings.trust_server)
        except BaseException:
            await client.close()
            raise
        return cls(client, probe, server, faults, settings)

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def load(self) -> Load:
        return Load(running=self._running)

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        """Closing it closes the connection, by which the server knows that it can stop."""
        check_capable(self._info, options)
        if options.grammar and not self._server.takes_gbnf:
            raise NotReady(f"{self._faults.where} takes no GBNF grammar; send a response_schema instead")
        patience = Patience(self._faults, self._settings.timeout_s, options.timeout_s)
        with self._admitted():
            answer = Answer(await self._begin(prompt, options, patience), prompt, self._faults, patience)
            async with aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        tokens, parameters = answer.tokens, self._server.parameters
        evaluated = tokens.prompt_tokens - tokens.cached_tokens + tokens.completion_tokens
        yield Completion(
            finish_reason=answer.finish_reason,
            tokens=tokens,
            timings=answer.timings,
            model=self._info.model,
            flops=2.0 * parameters * evaluated if parameters and answer.is_counted else None,
        )

    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        """Always NotReady: the protocol has no probabilities of a given text."""
        raise lacks(self._info, "score")

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a plain text; what looks like a control token in it is text too."""
        if "tokenize" not in self._info.capabilities:
            raise lacks(self._info, "tokenize")
        with self._admitted():
            tokens = await self._probe.tokens(text)
        if tokens is None:
            raise self._faults.garbage()
        return tokens

    async def forget(self) -> None:
        """What the server keeps is its own affair."""

    async def load_adapter(self, name: str) -> str:
        """Always NotReady: the server has loaded what it has."""
        raise lacks(self._info, "adapters")

    async def close(self) -> None:
        """Running requests get EdgeUnavailable, and so do later ones. The server goes on without us."""
        self._closed = True
        await self._client.close()

    def _body(self, prompt: Prompt, options: Options) -> dict[str, object]:
        body = request_body(self._server.model, prompt, options, logprobs="logprobs" in self._info.capabilities)
        if options.grammar:
            body["grammar"] = options.grammar
        if self._server.is_llama_server:
            # Left out, they would not be off, but llama-server's defaults.
            sampling = options.sampling
            body |= {"top_k": sampling.top_k, "top_p": sampling.top_p, "min_p": sampling.min_p}
            body["cache_prompt"] = not options.cache_key
        return body

    async def _begin(self, prompt: Prompt, options: Options, patience: Patience) -> AsyncStream[object]:
        from openai import APIError, NotFoundError

        try:
            async with patience.piece():
                return await post(self._client, self._body(prompt, options))
        except NotFoundError:
            raise await self._model_is_gone() from None
        except APIError as error:
            raise self._faults.refused(error) from None

    async def _model_is_gone(self) -> EdgewiseError:
        there = await self._probe.models()
        return self._faults.no_model(self._server.model, tuple(model.id for model in there))

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._closed:
            raise EdgeUnavailable("the engine was closed; start it again")
        if self._running >= self._settings.max_queue:
            raise Overloaded(f"{self._running} requests are at {self._faults.where} already; try again in a second")
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
