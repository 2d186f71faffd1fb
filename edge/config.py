"""The edge's settings: `[edge]` of `edgewise.toml`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edgewise.settings import Section

StoreName = Literal["chroma", "sqlite"]
EngineName = Literal["llama", "openai_url", "replay"]

_MIB = 1024 * 1024


class EdgeSettings(Section):
    section: ClassVar[str] = "edge"

    address: str = Field(
        default="", description="HOST:PORT or unix:PATH of an edge node that runs already; empty: start one."
    )
    token_file: Path | None = Field(default=None, description="File with the token of the edge node at `address`.")
    engine: EngineName = Field(default="llama", description="What answers: llama.cpp, a server, or recorded answers.")

    model: str = Field(
        default="smollm2-135m-instruct-q4_1",
        min_length=1,
        max_length=500,
        description="Name in the model catalogue, or path of a GGUF file.",
    )
    context_tokens: int = Field(
        default=4096,
        ge=512,
        le=131_072,
        description="Context window of one request; at most what the model was trained on.",
    )
    parallel: int = Field(
        default=4, ge=1, le=64, description="Requests that run at once, each with memory for its context window."
    )
    max_queue: int = Field(default=32, ge=1, le=1024, description="Requests that may wait; one more is refused.")
    threads: int | None = Field(
        default=None, ge=1, le=256, description="CPU threads at most; else what was measured here, or all cores."
    )
    flash_attention: bool | None = Field(
        default=None, description="Flash attention; else what was measured here, or off."
    )
    repack: bool = Field(
        default=True,
        description="Keep weights in memory in the order in which this processor multiplies them fastest; off: as in "
        "the file, for plain kernels only (no AMX either).",
    )
    prefix_cache_mib: int = Field(
        default=128,
        ge=0,
        le=1024 * 1024,
        description="Memory for evaluated prompts that may be continued; as much on disk, to start with them.",
    )
    gpu_layers: int = Field(
        default=0, ge=-1, le=10_000, description="Layers to put on a GPU, in a build that has one; -1: all."
    )
    devices: tuple[str, ...] = Field(
        default=(), max_length=16, description="Names of the devices to use, as `edgewise doctor` shows them; all."
    )
    usd_per_hour: float | None = Field(
        default=None, ge=0, le=10_000, description="What an hour of this machine costs you; unknown if not given."
    )

    base_url: str = Field(
        default="",
        description="For the `openai_url` engine: an OpenAI-compatible server of this machine, such as "
        "http://127.0.0.1:11434/v1 (Ollama), http://127.0.0.1:1234/v1 (LM Studio) or http://127.0.0.1:8080/v1 "
        "(llama-server).",
    )
    server_model: str = Field(
        default="", max_length=500, description="Model to ask that server for; empty: the only one that it has."
    )
    api_key_file: Path | None = Field(default=None, description="File with that server's API key, if it wants one.")
    trust_server: bool = Field(
        default=False,
        description="Let base_url be another machine, or the model one that the server runs elsewhere: private "
        "questions go there too, as to this device.",
    )
    timeout_s: float = Field(
        default=120, gt=0, le=3600, description="Longest wait for the next piece of that server's answer."
    )
    connect_timeout_s: float = Field(default=5, gt=0, le=120, description="Longest wait for a connection to it.")

    replay_file: Path | None = Field(default=None, description="JSONL of recorded answers for the `replay` engine.")
    latency_scale: float = Field(default=0, ge=0, le=1, description="Share of a recorded latency that is waited.")

    embedder: str = Field(
        default="all-minilm-l6-v2-int8",
        min_length=1,
        max_length=500,
        description="Name of the sentence embedder in the model catalogue: all-minilm-l6-v2-int8 for English, or "
        "multilingual-e5-small-int8 (`edgewise models pull` it first); a data directory keeps to one.",
    )
    embedder_threads: int = Field(default=1, ge=1, le=64, description="CPU threads of the embedder.")
    store: StoreName = Field(
        default="chroma", description="Where passages and their vectors are kept; `sqlite` needs no Chroma."
    )
    max_document_bytes: int = Field(
        default=64 * _MIB, ge=1024, le=1024 * _MIB, description="Size of the largest file to ingest."
    )

    watch: tuple[Path, ...] = Field(
        default=(), max_length=64, description="Folders whose files are ingested as they come, change and go."
    )
    watch_collection: str = Field(default="default", min_length=1, description="Collection of what those hold.")
    watch_private: bool = Field(
        default=False, description="Nothing that is derived from those folders may leave the device."
    )

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        url = urlsplit(value)  # its port raises a ValueError of its own when it is not a number
        if value and (url.scheme not in {"http", "https"} or not url.hostname or url.port == 0):
            raise ValueError("must be an http:// or https:// URL, such as http://127.0.0.1:11434/v1")
        return value

    @model_validator(mode="after")
    def _an_engine_has_what_it_needs(self) -> Self:
        if self.engine == "replay" and self.replay_file is None:
            raise ValueError("the `replay` engine needs replay_file")
        if self.engine == "openai_url" and not self.base_url:
            raise ValueError("the `openai_url` engine needs base_url")
        return self

    @model_validator(mode="after")
    def _the_server_is_this_device(self) -> Self:
        """The edge is sent private questions, so a server elsewhere is refused until the operator vouches for it."""
        host = urlsplit(self.base_url).hostname
        if host and not self.trust_server and not _is_loopback(host):
            raise ValueError(
                f"base_url is {host}, another machine, and private questions would go there; use 127.0.0.1, or set "
                "trust_server if you trust it as this one"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name, whose address could change
        return False
