"""The settings of telemetry: `[telemetry]` of `edgewise.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edgewise.settings import Section

_HERE = frozenset({"127.0.0.1", "localhost", "::1"})


class TelemetrySettings(Section):
    section: ClassVar[str] = "telemetry"

    otlp_endpoint: str = Field(
        default="",
        description="Where traces, metrics and grades go: the base URL of a collector that takes OTLP over HTTP, such "
        "as http://127.0.0.1:4318. Empty: nowhere. This and no OTEL_* or proxy variable of the environment decides.",
    )
    headers_file: Path | None = Field(
        default=None, description="File with one `Name: value` a line to send along, such as an API key."
    )
    ca_file: Path | None = Field(
        default=None, description="File with the certificates to trust in the place of the system's (https)."
    )
    content: bool = Field(
        default=False,
        description="Whether questions, answers and prompts are sent, too: of PUBLIC answers of which everything that "
        "they were made from is PUBLIC. What is not, is never sent.",
    )
    service_name: str = Field(
        default="edgewise", min_length=1, max_length=100, description="What this router is called there."
    )
    sample_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of questions whose traces are sent; metrics and grades are of all."
    )
    interval_s: float = Field(default=5, ge=0.05, le=3600, description="Seconds between two deliveries.")
    timeout_s: float = Field(default=10, gt=0, le=60, description="Seconds that the collector has for one delivery.")
    close_s: float = Field(
        default=3, ge=0, le=60, description="Seconds that the last delivery may take when the router stops."
    )
    queue: int = Field(
        default=2048, ge=1, le=100_000, description="Answers that wait for a delivery at the most; more are dropped."
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_a_base_url(cls, value: str) -> str:
        url = urlsplit(value)  # its port raises a ValueError of its own when it is not a number
        if value and (url.scheme not in {"http", "https"} or not url.hostname or url.port == 0):
            raise ValueError("must be an http:// or https:// URL, such as http://127.0.0.1:4318")
        if url.query or url.fragment:
            raise ValueError("must be the collector's base URL, without ? and #; /v1/traces and so on are added to it")
        if url.path.rstrip("/").endswith(("/v1/traces", "/v1/metrics", "/v1/logs")):
            raise ValueError("must be the collector's base URL; /v1/traces and so on are added to it")
        if "@" in url.netloc:
            raise ValueError("must not hold a user or a password; put an Authorization line into headers_file")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _secrets_are_encrypted(self) -> Self:
        url = urlsplit(self.otlp_endpoint)
        if self.headers_file is not None and url.scheme == "http" and url.hostname not in _HERE:
            raise ValueError("headers_file holds secrets, which http:// would show to the network; use https://")
        return self
