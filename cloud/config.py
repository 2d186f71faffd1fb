"""The cloud's settings: `[cloud]` of `edgewise.toml`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from cloud.prices import Price, price_of
from edgewise.place import read_secret
from edgewise.settings import Section

BackendName = Literal["openai_compatible", "llama", "replay"]
_PRICES = ("usd_per_mtok_prompt", "usd_per_mtok_completion", "usd_per_mtok_cached")
RequestField = Literal["temperature", "top_p", "seed", "stream_options"]


def _split(separator: str) -> BeforeValidator:
    """Lets a list be one string, which is all that an environment variable can hold."""

    def split(given: object) -> object:
        return tuple(filter(None, given.split(separator))) if isinstance(given, str) else given

    return BeforeValidator(split)


def _http(value: str) -> str:
    url = urlsplit(value)  # its port raises a ValueError of its own when it is not a number
    if value and (url.scheme not in {"http", "https"} or not url.hostname or url.port == 0):
        raise ValueError("must be an http:// or https:// URL, such as https://api.openai.com/v1")
    return value


def _check_pair(prompt: float | None, completion: float | None, cached: float | None) -> None:
    if (prompt is None) != (completion is None):
        raise ValueError("set both of usd_per_mtok_prompt and usd_per_mtok_completion, or neither")
    if cached is not None and (prompt is None or cached > prompt):
        raise ValueError("usd_per_mtok_cached goes with usd_per_mtok_prompt, and is no higher")


def readable_server(url: str) -> str:
    """The host and its port as people may read it: without a user or a password that the URL may hold."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port else host


class Fallback(BaseModel):
    """One `[[cloud.fallback]]`: an upstream that is asked where those before it cannot answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    base_url: str = Field(default="", max_length=2000, description="Its server; empty: the first's.")
    model: str = Field(default="", max_length=500, description="Its model; empty: the first's.")
    api_key_file: Path | None = Field(
        default=None, description="File with its API key; else the first's, at the same server, or none at another."
    )
    usd_per_mtok_prompt: float | None = Field(
        default=None, ge=0, description="Your price there; else the first's for the same model at the same server."
    )
    usd_per_mtok_completion: float | None = Field(default=None, ge=0, description="The same for tokens written.")
    usd_per_mtok_cached: float | None = Field(default=None, ge=0, description="The same for cached prompt tokens.")
    omit: Annotated[tuple[RequestField, ...] | None, _split(",")] = Field(
        default=None, description="Request fields that it refuses; else the first's."
    )
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        default=None, description="Its name for the length limit; else the first's."
    )
    logprobs: bool | None = Field(default=None, description="Ask it for log probabilities; else as the first.")
    parameters: float | None = Field(
        default=None, gt=0, description="Size of its model; else the first's, if the same."
    )
    timeout_s: float | None = Field(default=None, gt=0, le=3600, description="As the first's, which it is otherwise.")
    connect_timeout_s: float | None = Field(default=None, gt=0, le=120, description="The same.")

    _is_http = field_validator("base_url")(_http)

    @model_validator(mode="after")
    def _prices_come_in_pairs(self) -> Fallback:
        _check_pair(self.usd_per_mtok_prompt, self.usd_per_mtok_completion, self.usd_per_mtok_cached)
        return self


class CloudSettings(Section):
    section: ClassVar[str] = "cloud"

    address: str = Field(
        default="",
        description="https://HOST:PORT of a gateway that runs elsewhere; HOST:PORT without TLS on this machine; or "
        "unix:PATH.",
    )
    backend: BackendName | None = Field(default=None, description="What answers in a gateway of this process.")

    base_url: str = Field(default="", description="OpenAI-compatible server, such as http://127.0.0.1:8000/v1.")
    model: str = Field(
        default="", max_length=500, description="Model to ask for; with `llama` a name of the catalogue or a GGUF file."
    )
    api_key_file: Path | None = Field(default=None, description="File with the provider's API key and nothing else.")
    api_key: SecretStr | None = Field(
        default=None,
        description="The API key itself, meant for EDGEWISE_CLOUD__API_KEY.",
    )
    logprobs: bool = Field(default=False, description="Ask the server for log probabilities.")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens",
        description="The server's name for the length limit; reasoning models want the second.",
    )
    omit: Annotated[tuple[RequestField, ...], _split(",")] = Field(
        default=(), description="Request fields that the server refuses, and that are therefore not sent."
    )

    timeout_s: float = Field(default=60, gt=0, le=3600, description="Longest wait for the next piece of an answer.")
    connect_timeout_s: float = Field(default=5, gt=0, le=120, description="Longest wait for a connection.")
    attempts: int = Field(default=3, ge=1, le=10, description="Tries of one call while nothing has been answered.")
    retry_budget_s: float = Field(default=20, ge=0, le=600, description="No new try after this time.")
    retry_share: float = Field(
        default=0.2,
        ge=0,
        le=10,
        description="Retries of all calls together, as a share of them; a few are always free.",
    )
    breaker_failures: int = Field(
        default=5, ge=1, le=1000, description="Failures in a row after which an upstream is left alone."
    )
    breaker_pause_s: float = Field(
        default=2, gt=0, le=60, description="For how long at first; it doubles up to a minute while it stays down."
    )
    max_concurrent: int = Field(default=16, ge=1, le=1024, description="Calls at once; one more is refused.")

    cache_entries: int = Field(
        default=0, ge=0, le=100_000, description="Answers at most that are kept for the same request; 0: none."
    )
    cache_ttl_s: float = Field(default=3600, gt=0, le=2_592_000, description="Seconds for which one is kept.")
    cache_mib: int = Field(default=64, ge=1, le=4096, description="Memory for all of them, about.")

    replay_file: Path | None = Field(default=None, description="JSONL of recorded answers for the `replay` backend.")
    latency_scale: float = Field(default=0, ge=0, le=1, description="Share of a recorded latency that is waited.")
    threads: int | None = Field(
        default=None, ge=1, le=256, description="CPU threads of the `llama` backend; else half of the cores."
    )
    context_tokens: int = Field(default=4096, ge=512, le=131_072, description="Context window of the `llama` backend.")

    usd_per_mtok_prompt: float | None = Field(default=None, ge=0, description="Your price of a million prompt tokens.")
    usd_per_mtok_completion: float | None = Field(default=None, ge=0, description="The same for tokens written.")
    usd_per_mtok_cached: float | None = Field(
        default=None, ge=0, description="The same for prompt tokens that the provider has cached; else as the others."
    )
    usd_per_fetch: float = Field(
        default=0, ge=0, le=1000, description="Your price of one look-up of information, whatever it finds."
    )
    usd_per_search: float = Field(
        default=0, ge=0, le=1000, description="What one web search costs on top: your price, or the provider's."
    )
    parameters: float | None = Field(default=None, gt=0, description="Size of the large model, to count its FLOPs.")

    corpora: Annotated[tuple[Path, ...], _split(os.pathsep)] = Field(
        default=(), description="Files and directories from which the gateway gives cloud info."
    )
    embedder: str = Field(
        default="all-minilm-l6-v2-int8",
        min_length=1,
        max_length=500,
        description="Sentence embedder that weighs cloud info: all-minilm-l6-v2-int8 for English, or "
        "multilingual-e5-small-int8 (`edgewise models pull` it first); the corpora in a data directory keep to one.",
    )
    web_search_url: str = Field(
        default="",
        max_length=2000,
        description="A SearXNG whose results are cloud info too, such as http://127.0.0.1:8888; the text of the query "
        "is sent to it, and by it to the search engines that it asks. Empty: none.",
    )
    web_search_key_file: Path | None = Field(
        default=None, description="File with a key that the search wants, sent as `Authorization: Bearer`."
    )
    facts: int = Field(
        default=0, ge=0, le=20, description="Short facts at most that the model is asked for as cloud info; 0: none."
    )
    info_timeout_s: float = Field(
        default=10, gt=0, le=600, description="Longest wait for a part of cloud info; what comes later is left out."
    )
    corpora_days: float = Field(
        default=7, gt=0, le=36_500, description="Days for which a passage of the corpora may be kept by who asked."
    )
    web_days: float = Field(default=1, gt=0, le=36_500, description="The same for a web result.")
    facts_days: float = Field(default=30, gt=0, le=36_500, description="The same for a fact of the model.")

    token_file: Path | None = Field(
        default=None,
        description="File with a token: for the gateway its owner's, for a router the key that it has of the gateway.",
    )
    tls_cert_file: Path | None = Field(
        default=None, description="PEM file with the certificate that the gateway shows, and what it stands on."
    )
    tls_key_file: Path | None = Field(default=None, description="PEM file with that certificate's key.")
    client_ca_file: Path | None = Field(
        default=None,
        description="PEM file with the authorities of callers: who has no certificate of theirs is refused.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file with the authorities of the gateway, for a router; else those that the public trusts.",
    )
    client_cert_file: Path | None = Field(
        default=None, description="PEM file with the certificate that a router shows, where the gateway wants one."
    )
    client_key_file: Path | None = Field(default=None, description="PEM file with that certificate's key.")
    plaintext: bool = Field(
        default=False,
        description="Between machines without TLS of our own, because something else has it there (Envoy, a VPN).",
    )
    stop_grace_s: float = Field(
        default=20, ge=0, le=30, description="After SIGTERM, running calls of the gateway may end for so long."
    )
    fallback: tuple[Fallback, ...] = Field(
        default=(),
        max_length=8,
        description="Upstreams to ask, in order, where the first cannot answer: each a table [[cloud.fallback]].",
    )

    _is_http = field_validator("base_url", "web_search_url")(_http)

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if separator and (scheme != "https" or not rest.rpartition(":")[0] or "/" in rest):
            raise ValueError("must be https://HOST:PORT, HOST:PORT or unix:PATH")
        return value

    @model_validator(mode="after")
    def _certificates_come_with_keys(self) -> CloudSettings:
        for certificate, key in (("tls_cert_file", "tls_key_file"), ("client_cert_file", "client_key_file")):
            if (getattr(self, certificate) is None) != (getattr(self, key) is None):
                raise ValueError(f"set both of {certificate} and {key}, or neither")
        if self.client_ca_file and not self.tls_cert_file:
            raise ValueError("client_ca_file needs TLS: set tls_cert_file and tls_key_file")
        if (self.ca_file or self.client_cert_file) and self.address and not self.address.startswith("https://"):
            raise ValueError("ca_file and client_cert_file need TLS: write address as https://HOST:PORT")
        return self

    @field_validator("web_search_url")
    @classmethod
    def _takes_a_path(cls, value: str) -> str:
        if "?" in value or "#" in value:
            raise ValueError("must be the address of the search's front page, without ? and #")
        return value

    @model_validator(mode="after")
    def _prices_come_in_pairs(self) -> CloudSettings:
        _check_pair(self.usd_per_mtok_prompt, self.usd_per_mtok_completion, self.usd_per_mtok_cached)
        return self

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @property
    def server(self) -> str:
        return readable_server(self.base_url)

    def own_price(self) -> Price | None:
        """The operator's price; None when the settings have none."""
        if self.usd_per_mtok_prompt is None or self.usd_per_mtok_completion is None:
            return None
        return Price(
            usd_per_mtok_prompt=self.usd_per_mtok_prompt,
            usd_per_mtok_completion=self.usd_per_mtok_completion,
            usd_per_mtok_cached=self.usd_per_mtok_cached,
            source="the operator's settings",
        )

    def billed_price(self) -> Price | None:
        """What the configured model costs: the operator's price, else the host's list price, else unknown."""
        return self.own_price() or price_of(self.model, self.host)

    def upstreams(self) -> tuple[CloudSettings, ...]:
        """The settings of every upstream, the first one's first. None gets another server's key or model's price."""
        return (self, *(self._of(fallback) for fallback in self.fallback))

    def _of(self, fallback: Fallback) -> CloudSettings:
        given = {name: value for name, value in fallback if value not in {None, ""}}
        there = self.model_copy(update=given)
        foreign: dict[str, object] = {}
        if fallback.api_key_file is not None or urlsplit(there.base_url)[:2] != urlsplit(self.base_url)[:2]:
            foreign |= {"api_key": None, "api_key_file": fallback.api_key_file}
        if there.model != self.model:
            foreign["parameters"] = fallback.parameters
        if there.model != self.model or there.base_url != self.base_url or fallback.usd_per_mtok_prompt is not None:
            foreign |= {name: getattr(fallback, name) for name in _PRICES}
        return there.model_copy(update={**foreign, "fallback": ()})

    def read_api_key(self) -> str:
        """The provider's key; empty when none is set, as local servers need none."""
        if self.api_key is not None:
            return self.api_key.get_secret_value().strip()
        return read_secret(self.api_key_file, "cloud.api_key_file")
