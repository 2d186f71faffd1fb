"""The one way out of telemetry: OTLP over HTTP, to the address in the settings and nowhere else, and noted before.

OpenTelemetry's own exporters are not used, because the environment of the process moves them: OTEL_EXPORTER_OTLP_* adds
headers and certificates to what they are given, a credential provider or HTTP_PROXY changes whom they talk to. These
few lines read no such variable.
"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from edgewise.errors import NotReady
from edgewise.place import read_secret
from edgewise.types import Privacy
from router.egress.audit import NotAudited
from router.egress.boundary import Boundary
from router.egress.rows import Leaving
from router.telemetry.config import TelemetrySettings

_ANSWER_BYTES = 64 * 1024
# By the protocol these pass; any other status says that the same delivery would be refused again.
_PASSING = frozenset({429, 502, 503, 504})


class Undelivered(Exception):
    """The collector has not taken a delivery. `passing` says whether it may take it later."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Outlet:
    """Posts to a collector, without proxies, redirects or waiting longer than `timeout_s` for a byte of its answer."""

    endpoint: str
    timeout_s: float
    headers: dict[str, str] = field(repr=False)
    tls: ssl.SSLContext | None
    boundary: Boundary
    with_content: bool = False

    @staticmethod
    def of(settings: TelemetrySettings, boundary: Boundary) -> Outlet:
        """NotReady when a file that the settings name cannot be used."""
        tls = _tls(settings.ca_file) if settings.otlp_endpoint.startswith("https:") else None
        headers = _headers(settings.headers_file)
        return Outlet(settings.otlp_endpoint, settings.timeout_s, headers, tls, boundary, settings.content)

    def post(self, path: str, body: bytes) -> bytes:
        """What the collector answers; Undelivered, also where the audit log cannot be written."""
        url = urlsplit(self.endpoint)
        leaving = Leaving(
            destination="telemetry",
            host=url.hostname or "",
            call=path,
            label=Privacy.PUBLIC if self.with_content else None,
            released="content of public answers" if self.with_content else "no content",
            policy=self.boundary.policy.version,
            size=len(body),
        )
        try:
            with self.boundary.noted_now(leaving):
                return self._post(url, path, body)
        except NotAudited as error:
            raise Undelivered(error.message, passing=True) from None

    def _post(self, url: SplitResult, path: str, body: bytes) -> bytes:
        assert url.hostname is not None
        connection = (
            http.client.HTTPConnection(url.hostname, url.port, timeout=self.timeout_s)
            if self.tls is None
            else http.client.HTTPSConnection(url.hostname, url.port, timeout=self.timeout_s, context=self.tls)
        )
        try:
            headers = {**self.headers, "Content-Type": "application/x-protobuf"}
            connection.request("POST", url.path + path, body, headers)
            response = connection.getresponse()
            answer = response.read(_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise Undelivered(str(error) or type(error).__name__, passing=True) from None
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise Undelivered(f"it answers {response.status}", passing=response.status in _PASSING)
        return answer


def _headers(file: Path | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    for number, line in enumerate(read_secret(file, "telemetry.headers_file").splitlines(), start=1):
        name, separator, value = line.partition(":")
        is_token = name.strip().replace("-", "").replace("_", "").isalnum() and name.isascii()
        if not separator or not is_token or not value.strip().isascii() or not value.strip().isprintable():
            raise NotReady(
                f"telemetry.headers_file: line {number} of {file} is no header; write `Name: value`, in ASCII"
            )
        headers[name.strip()] = value.strip()
    return headers


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file.expanduser()))
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or "it holds no certificate"
        raise NotReady(f"telemetry.ca_file: {ca_file} cannot be used ({reason}); give a file of certificates") from None
