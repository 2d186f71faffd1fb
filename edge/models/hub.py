"""A file of a Hugging Face repository: fetched in pieces where it must be, and never mixed from two versions.

What has arrived stays in FILE.part. Another attempt asks for the rest on the condition (RFC 9110, If-Range) that the
file still has the ETag that stands in FILE.part.etag; a server that cannot tell sends all of it again.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from edge.models.entries import HuggingFace, size_of
from edge.models.wheel import Progress
from edgewise.errors import InvalidInput, NotFound, NotReady

if TYPE_CHECKING:
    import httpx2

_CONNECT_S, _READ_S = 10.0, 30.0
_ATTEMPTS = 5
_BACKOFF_S = 0.5
_LONGEST_WAIT_S = 60.0
_BLOCK = 1 << 20
_SPARE_BYTES = 64 << 20
"""What a download leaves free on the disk."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the hub says of a file that has arrived; None where it does not."""

    sha256: str | None
    commit: str | None


class _Interrupted(Exception):
    """It may go better in a moment."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s


def fetch(source: HuggingFace, part: Path, size: int | None, report: Progress) -> Arrival:
    """Complete `part`; the caller moves it away and calls `forget`.

    NotFound if there is no such file, NotReady with the reason if it cannot be fetched now.
    """
    import httpx2

    url, headers = _address(source)
    timeout = httpx2.Timeout(_READ_S, connect=_CONNECT_S)
    failures = 0
    with httpx2.Client(
        headers={"Accept-Encoding": "identity", **headers}, timeout=timeout, follow_redirects=True
    ) as client:
        download = _Download(client, source, url, part, size, report)
        while True:
            before = download.have
            try:
                return download.attempt()
            except httpx2.TransportError as error:
                problem = _Interrupted(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
            except httpx2.TooManyRedirects:
                raise NotReady(f"{url} is redirected in circles; check HF_ENDPOINT") from None
            except _Interrupted as interrupted:
                problem = interrupted
            failures = 1 if download.have - before >= _BLOCK else failures + 1
            if failures >= _ATTEMPTS:
                raise NotReady(
                    f"{url} could not be fetched ({problem.reason[:300]}); check the network and run the command "
                    f"again: it goes on where it stopped"
                )
            time.sleep(_BACKOFF_S * 2**failures if problem.wait_s is None else problem.wait_s)


def forget(part: Path) -> None:
    """Remove what is left of a download that is done with."""
    part.unlink(missing_ok=True)
    _etag_file(part).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Download:
    client: httpx2.Client
    source: HuggingFace
    url: str
    part: Path
    size: int | None
    report: Progress

    @property
    def have(self) -> int:
        return size_of(self.part) or 0

    def attempt(self) -> Arrival:
        with self.client.stream("GET", self.url, headers=self._condition()) as response:
            first = (*response.history, response)[0].headers
            if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{self.have}":
                return _arrival(first)
            self._check_status(response)
            start = self._start(response) if response.status_code == 206 else 0
            total = self._total(start, response.headers, first)
            self._check_disk(total - start)
            if start == 0:
                self._begin(response.headers.get("ETag", ""))
            self._receive(response, start, total)
        return _arrival(first)

    def _condition(self) -> dict[str, str]:
        """The headers that ask for the rest; none without a strong ETag of the same URL, and then all comes again."""
        try:
            url, etag = _etag_file(self.part).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return {}
        if not self.have or url != self.url or not etag.startswith('"'):
            return {}
        return {"Range": f"bytes={self.have}-", "If-Range": etag}

    def _check_status(self, response: httpx2.Response) -> None:
        status, page = response.status_code, self.url.partition("/resolve/")[0]
        if status in {200, 206}:
            return
        if status == 404:
            raise NotFound(
                f"there is no {self.source.file} at {page}, revision {self.source.revision}; look there for its name"
            )
        if status in {401, 403}:
            token = "HF_TOKEN may not read it" if os.environ.get("HF_TOKEN") else "it wants a token in HF_TOKEN"
            raise NotReady(
                f"{page} cannot be read ({status}): there is no such repository, or {token}; its page may ask you to "
                f"accept terms first"
            )
        if status == 416:
            self.part.unlink(missing_ok=True)
            raise _Interrupted("what had arrived was no part of the file", wait_s=0)
        if status == 429 or status >= 500:
            after = response.headers.get("Retry-After", "")
            wait_s = float(after) if after.isdecimal() else None
            if wait_s is not None and wait_s > _LONGEST_WAIT_S:
                raise NotReady(f"{page} asks to wait {wait_s:.0f} s ({status}); run the command again then")
            raise _Interrupted(f"the server answered {status}", wait_s)
        raise NotReady(f"{self.url} answered {status}; check HF_ENDPOINT")

    def _start(self, response: httpx2.Response) -> int:
        """Where a partial answer begins, which has to be where ours ends."""
        match = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", response.headers.get("Content-Range", ""))
        same = response.headers.get("ETag") in {None, response.request.headers["If-Range"]}
        if match is None or int(match[1]) != self.have or not same:
            self.part.unlink(missing_ok=True)
            raise _Interrupted("the server sent another part than the one asked for", wait_s=0)
        return self.have

    def _total(self, start: int, headers: httpx2.Headers, first: httpx2.Headers) -> int:
        """The size of the file: as this answer, the hub and the catalogue say, who have to agree."""
        said = [self.size, _number(first, "X-Linked-Size")]
        length = _number(headers, "Content-Length")
        said.append(None if length is None else start + length)
        sizes = {size for size in said if size is not None}
        if not sizes:
            raise NotReady(f"{self.url} comes without a length, so nobody can tell whether it is complete")
        if len(sizes) > 1:
            raise NotReady(
                f"{self.url} has another size than it should ({' and '.join(map(str, sorted(sizes)))} bytes); it was "
                f"changed or is damaged: check the revision"
            )
        return sizes.pop()

    def _check_disk(self, wanted: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if wanted + _SPARE_BYTES > free:
            raise NotReady(
                f"{self.part.parent} has {free / 1e6:.0f} MB left, and {wanted / 1e6:.0f} MB are to come; make room, "
                f"or set XDG_CACHE_HOME to a larger disk"
            )

    def _begin(self, etag: str) -> None:
        """In this order, so that no ETag ever stands beside the beginning of another version."""
        self.part.unlink(missing_ok=True)
        _etag_file(self.part).write_text(f"{self.url}\n{etag}\n", encoding="utf-8")

    def _receive(self, response: httpx2.Response, start: int, total: int) -> None:
        done = start
        with self.part.open("ab") as sink:
            for block in response.iter_raw():
                sink.write(block)
                done += len(block)
                self.report("downloading", min(done, total), total)
            sink.flush()
            os.fsync(sink.fileno())
        if done != total:
            raise _Interrupted(f"{done} bytes came instead of {total}")


def _arrival(headers: httpx2.Headers) -> Arrival:
    """From the hub's own answer, the one that redirects to the storage."""
    etag = headers.get("X-Linked-ETag", "").strip('"').lower()
    return Arrival(
        sha256=etag if re.fullmatch("[0-9a-f]{64}", etag) else None,
        commit=headers.get("X-Repo-Commit", "")[:64] or None,
    )


def _number(headers: httpx2.Headers, name: str) -> int | None:
    value: str = headers.get(name, "")
    return int(value) if value.isdecimal() else None


def _etag_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _address(source: HuggingFace) -> tuple[str, dict[str, str]]:
    """The URL, and the token for its host alone: a redirect to another host goes without it."""
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidInput("HF_ENDPOINT is not an address; write https://HOST")
    token = os.environ.get("HF_TOKEN", "").strip()
    if not (token.isascii() and (token.isprintable() or not token)):
        raise InvalidInput("HF_TOKEN holds characters that no token has; set it again")
    if token and parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise NotReady(
            f"HF_TOKEN would go to {parts.hostname} unencrypted; use https in HF_ENDPOINT, or unset HF_TOKEN"
        )
    url = f"{endpoint}/{source.repository}/resolve/{quote(source.revision, safe='')}/{quote(source.file)}"
    return url, {"Authorization": f"Bearer {token}"} if token else {}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
