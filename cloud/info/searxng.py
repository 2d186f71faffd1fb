"""A SearXNG, which anybody can host, as a provider of web results: https://docs.searxng.org/dev/search_api.html"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, Field, OnErrorOmit

from cloud.config import CloudSettings, readable_server
from cloud.info.web import Hit, Searched
from edgewise.errors import NotReady, TooLarge
from edgewise.place import read_secret

if TYPE_CHECKING:
    import httpx2

_MAX_BYTES = 2 * 1024 * 1024
# Words that begin so are orders to SearXNG: other engines, another language, a redirect to the first result.
_ORDERS = re.compile(r"(?<!\S)(?:!+(?!\S)|[!:?<]+(?=\w))")
_REFUSALS: Mapping[int, str] = {
    401: "wants another key (401); check cloud.web_search_key_file",
    403: "refused (403), as SearXNG does unless its settings.yml has json among search.formats; add it there, or check "
    "cloud.web_search_key_file",
    404: "has no /search (404); check cloud.web_search_url",
    429: "had too many searches (429); try again later, or change its limiter",
}


class SearXNG:
    """Redirects are not followed, and the environment's proxies are not asked: a query goes where the settings say."""

    def __init__(self, settings: CloudSettings) -> None:
        import httpx2

        key = read_secret(settings.web_search_key_file, "cloud.web_search_key_file")
        if not (key.isascii() and key.isprintable()):
            raise NotReady("cloud.web_search_key_file holds more than a key: it must be one line of plain letters")
        self._url = f"{settings.web_search_url.rstrip('/')}/search"
        self._where = f"the search at {readable_server(settings.web_search_url)}"
        # Compressed, a small body could be a large one.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(settings.info_timeout_s, connect=settings.connect_timeout_s),
            follow_redirects=False,
            trust_env=False,
        )

    async def search(self, text: str) -> Searched:
        import httpx2

        asked = {"q": _ORDERS.sub("", text), "format": "json"}
        try:
            async with self._client.stream("GET", self._url, params=asked) as response:
                if response.status_code != httpx2.codes.OK:
                    return self._without(_refusal(response.status_code))
                return self._read(await _body(response))
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            words = "cannot be reached; start it, or check cloud.web_search_url"
            return Searched(reason=f"{self._where} {words}", charged=False)
        except httpx2.TimeoutException:
            return self._without("sent nothing in time; try again later, or raise cloud.info_timeout_s")
        except httpx2.HTTPError:
            return self._without("broke the connection; see its log")
        except TooLarge as error:
            return self._without(error.message)

    async def close(self) -> None:
        await self._client.aclose()

    def _read(self, body: bytes) -> Searched:
        try:
            page = _Page.model_validate(json.loads(body))
        except (ValueError, RecursionError):
            what = "a web page" if body.lstrip()[:1] == b"<" else "something else"
            return self._without(f"sent {what} instead of SearXNG's JSON; check cloud.web_search_url")
        hits = tuple(Hit(one.url, one.title, one.content, one.published) for one in page.results)
        if hits or not page.unresponsive_engines:
            return Searched(hits)
        return self._without(f"found nothing: {len(page.unresponsive_engines)} of its engines did not respond")

    def _without(self, why: str) -> Searched:
        return Searched(reason=f"{self._where} {why}")


def _refusal(status: int) -> str:
    if status in _REFUSALS:
        return _REFUSALS[status]
    if 300 <= status < 400:
        return f"sends searches elsewhere ({status}), where they do not go; check cloud.web_search_url"
    return f"failed ({status}); see its log"


async def _body(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > _MAX_BYTES:
            raise TooLarge(f"sent more than {_MAX_BYTES // 1024**2} MiB; check cloud.web_search_url")
    return bytes(body)


# --- what it sends ----------------------------------------------------------------------------------------------------


def date(given: object) -> datetime | None:
    """A time without a zone is in UTC; what is no time is none."""
    if not isinstance(given, str):
        return None
    try:
        moment = datetime.fromisoformat(given)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _nothing(given: object) -> object:
    return "" if given is None else given


class _Result(BaseModel):
    url: str = Field(max_length=2000, pattern=r"^https?://\S+$")
    title: Annotated[str, BeforeValidator(_nothing)] = Field(default="", max_length=1000)
    content: Annotated[str, BeforeValidator(_nothing)] = Field(default="", max_length=10_000)
    published: Annotated[datetime | None, BeforeValidator(date)] = Field(default=None, alias="publishedDate")


class _Page(BaseModel):
    """A result that does not look like one is left out; the others count."""

    results: list[OnErrorOmit[_Result]]
    unresponsive_engines: list[object] = []
