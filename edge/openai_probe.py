"""What a local OpenAI-compatible server is and can do: no two of them agree on how to say it, so they are tried."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError

from edge.engine import Capability
from edge.openai_errors import Translator
from edge.openai_stream import Answer, Patience, post, request_body
from edgewise.errors import NotReady
from edgewise.types import Message, Options, Prompt, Sampling, Text

if TYPE_CHECKING:
    from openai import AsyncOpenAI

ReplyT = TypeVar("ReplyT", bound=BaseModel)

_Positive = Annotated[int, Field(gt=0, lt=2**31)]
_Token = Annotated[int, Field(ge=0, lt=2**31)]

# A wish that no model would fulfil by itself, and what shows that the server held it to that.
_WISH = Prompt(messages=(Message(role="user", content=Text.ours("Write a short story about the sea.")),))
_SCHEMA = '{"type": "object", "properties": {"n": {"const": 7}}, "required": ["n"], "additionalProperties": false}'
_GBNF = 'root ::= "7"'
_CANNOT = frozenset({400, 422, 501})
# Ollama runs such models in its own cloud, though it is asked on this machine.
_CLOUD = re.compile(r"[:-]cloud(?::|$)")


@dataclass(frozen=True, slots=True)
class Server:
    """`takes_gbnf` is beyond the capability `grammar`, which schemas alone are enough for."""

    model: str
    capabilities: tuple[Capability, ...]
    takes_gbnf: bool
    is_llama_server: bool
    context_tokens: int | None
    parameters: float | None


class _Meta(BaseModel):
    n_ctx: _Positive | None = None
    n_params: Annotated[float, Field(gt=0)] | None = None


class _Model(BaseModel):
    """An entry of /v1/models. `meta` is llama-server's, `max_model_len` vLLM's."""

    id: str
    owned_by: str = ""
    meta: _Meta | None = None
    max_model_len: _Positive | None = None


class _Models(BaseModel):
    data: list[_Model]


class _Shown(BaseModel):
    remote_host: str = ""


class _Running(BaseModel):
    """An entry of Ollama's /api/ps."""

    name: str
    context_length: _Positive | None = None


class _AllRunning(BaseModel):
    models: list[_Running]


class _Loaded(BaseModel):
    """An entry of LM Studio's /api/v0/models."""

    id: str
    loaded_context_length: _Positive | None = None


class _AllLoaded(BaseModel):
    data: list[_Loaded]


class _Generation(BaseModel):
    n_ctx: _Positive


class _Properties(BaseModel):
    """llama-server's /props; `n_ctx` is that of one slot."""

    default_generation_settings: _Generation


class _Tokens(BaseModel):
    tokens: list[_Token]


class Probe:
    """Asks one server. Its errors are those of a request: EdgeUnavailable, NotReady, Overloaded."""

    def __init__(self, client: AsyncOpenAI, base_url: str, faults: Translator, timeout_s: float) -> None:
        self._client = client
        self._root = base_url.rstrip("/").removesuffix("/v1")
        self._faults = faults
        self._timeout_s = timeout_s

    async def server(self, wanted: str, *, may_be_elsewhere: bool) -> Server:
        """The server with the model that is wanted, or with its only one."""
        model = await self._choose(wanted)
        if not may_be_elsewhere:
            await self._check_local(model.id)
        logprobs = await self._gives_logprobs(model.id)
        schemas, gbnf = await self._keeps_to_a_schema(model.id), await self._keeps_to_a_grammar(model.id)
        found: dict[Capability, bool] = {
            "logprobs": logprobs,
            "grammar": schemas,
            "tokenize": await self.tokens("7") is not None,
        }
        return Server(
            model=model.id,
            capabilities=tuple(capability for capability, is_there in found.items() if is_there),
            takes_gbnf=gbnf,
            is_llama_server=model.owned_by == "llamacpp",
            context_tokens=await self._context_tokens(model),
            parameters=model.meta.n_params if model.meta else None,
        )

    async def models(self) -> tuple[_Model, ...]:
        listed = await self._ask(_Models, "/models")
        if listed is None:
            raise self._faults.no_list()
        return tuple(listed.data)

    async def tokens(self, text: str) -> tuple[int, ...] | None:
        """llama-server's tokens of a plain text; None where a server has no such thing."""
        # Without the last one, what looks like a control token would become one.
        wish = {"content": text, "add_special": False, "parse_special": False}
        found = await self._ask(_Tokens, f"{self._root}/tokenize", wish)
        return None if found is None else tuple(found.tokens)

    async def _choose(self, wanted: str) -> _Model:
        models = await self.models()
        fitting = [model for model in models if not wanted or model.id in {wanted, f"{wanted}:latest"}]
        if len(fitting) != 1:
            raise self._faults.no_model(wanted, tuple(model.id for model in models))
        return fitting[0]

    async def _check_local(self, model: str) -> None:
        shown = await self._ask(_Shown, f"{self._root}/api/show", {"model": model})
        if _CLOUD.search(model) or (shown is not None and shown.remote_host):
            raise NotReady(
                f"{self._faults.where} runs {model} on other machines, and private questions would go there; "
                "name a local one in edge.server_model, or set edge.trust_server if you trust them as this one"
            )

    async def _gives_logprobs(self, model: str) -> bool:
        return bool((await self._try(model, Options(sampling=Sampling(max_tokens=1)), logprobs=True))[1])

    async def _keeps_to_a_schema(self, model: str) -> bool:
        text, _ = await self._try(model, Options(sampling=Sampling(max_tokens=32), response_schema=_SCHEMA))
        try:
            return bool(json.loads(text) == {"n": 7})
        except ValueError:
            return False

    async def _keeps_to_a_grammar(self, model: str) -> bool:
        text, _ = await self._try(model, Options(sampling=Sampling(max_tokens=4)), grammar=_GBNF)
        return text == "7"

    async def _try(
        self, model: str, options: Options, *, logprobs: bool = False, grammar: str = ""
    ) -> tuple[str, tuple[float, ...]]:
        """The text and the logprobs of an answer; nothing of a server that refuses what it is asked for."""
        from openai import APIError, APIStatusError

        body = request_body(model, _WISH, options, logprobs=logprobs) | ({"grammar": grammar} if grammar else {})
        patience = Patience(self._faults, self._timeout_s)
        try:
            async with patience.piece():
                stream = await post(self._client, body)
        except APIStatusError as error:
            if error.status_code in _CANNOT:
                return "", ()
            raise self._faults.refused(error) from None
        except APIError as error:
            raise self._faults.refused(error) from None
        async with aclosing(Answer(stream, _WISH, self._faults, patience).chunks()) as chunks:
            found = [chunk async for chunk in chunks]
        return "".join(chunk.text for chunk in found), tuple(one for chunk in found for one in chunk.logprobs)

    async def _context_tokens(self, model: _Model) -> int | None:
        """The context window in force, not the one that the model was trained with; None if the server is silent."""
        if model.meta and model.meta.n_ctx:
            return model.meta.n_ctx
        if model.max_model_len:
            return model.max_model_len
        if properties := await self._ask(_Properties, f"{self._root}/props"):
            return properties.default_generation_settings.n_ctx
        if running := await self._ask(_AllRunning, f"{self._root}/api/ps"):
            return next((one.context_length for one in running.models if one.name == model.id), None)
        if loaded := await self._ask(_AllLoaded, f"{self._root}/api/v0/models"):
            return next((one.loaded_context_length for one in loaded.data if one.id == model.id), None)
        return None

    async def _ask(self, reply: type[ReplyT], url: str, body: Mapping[str, object] | None = None) -> ReplyT | None:
        """None from a server that does not know the URL, or means something else by it."""
        from openai import APIError, APIStatusError

        try:
            async with Patience(self._faults, self._timeout_s).piece():
                if body is None:
                    found = await self._client.get(url, cast_to=object)
                else:
                    found = await self._client.post(url, body=body, cast_to=object)
            return reply.model_validate(found)
        except ValidationError:
            return None
        except APIStatusError as error:
            if error.status_code in {404, 405, *_CANNOT}:
                return None
            raise self._faults.refused(error) from None
        except APIError as error:
            raise self._faults.refused(error) from None
        except ValueError:  # not JSON
            return None
