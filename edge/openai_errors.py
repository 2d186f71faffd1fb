"""What a local OpenAI-compatible server can do wrong, in words; and what any such server's refusal says."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edgewise.errors import (
    ContextOverflow,
    EdgeUnavailable,
    EdgewiseError,
    InvalidInput,
    NotReady,
    Overloaded,
    TooLarge,
)

if TYPE_CHECKING:
    from openai import APIError, APIStatusError

_DETAIL = 300
_OVERFLOW = ("context length", "context size", "context window")


def detail(error: APIError) -> str:
    """What the server says about its refusal, cut to what fits into a message."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    return said[:_DETAIL] if isinstance(said, str) else "no details were given"


def overflows(error: APIError) -> bool:
    """Whether the server says that its context is too small: OpenAI by a code, the others in words."""
    return error.code == "context_length_exceeded" or any(words in detail(error) for words in _OVERFLOW)


def retry_after(error: APIStatusError) -> float | None:
    """The seconds in a Retry-After header (RFC 9110: a number or a date), a day at the most; None without one."""
    given = str(error.response.headers.get("retry-after", ""))
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(given).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(0.0, seconds), 86_400.0)


class Translator:
    """The SDK's errors -> ours, for the server of the edge. `where` begins every message."""

    def __init__(self, base_url: str, timeout_s: float) -> None:
        url = urlsplit(base_url)  # without a user or a password that it may hold
        self.where = f"the server at {url.hostname}" + (f":{url.port}" if url.port else "")
        self._timeout_s = timeout_s

    def refused(self, error: APIError) -> EdgewiseError:
        """The error of a call that brought no answer at all."""
        from openai import APIStatusError, APITimeoutError

        if isinstance(error, APIStatusError):
            return self._status(error)
        if isinstance(error, APITimeoutError):
            return self.too_slow()
        return EdgeUnavailable(f"{self.where} cannot be reached; start it, or check edge.base_url")

    def broken_off(self, error: APIError) -> EdgeUnavailable:
        """The error of an answer that began and did not end."""
        from openai import APIConnectionError, APITimeoutError

        if isinstance(error, APITimeoutError):
            return self.too_slow()
        if isinstance(error, APIConnectionError):
            return EdgeUnavailable(f"{self.where} broke the connection in the middle of an answer; ask again")
        return EdgeUnavailable(f"{self.where} broke its answer off: {error.message[:_DETAIL]}; ask again")

    def too_slow(self) -> EdgeUnavailable:
        limit = f"{self._timeout_s:g} s"
        return EdgeUnavailable(f"{self.where} sent nothing for {limit}; ask again, or raise edge.timeout_s")

    def garbage(self) -> EdgeUnavailable:
        return EdgeUnavailable(f"{self.where} sent something that is not a whole answer; check edge.base_url")

    def withheld(self, reason: str) -> EdgeUnavailable:
        return EdgeUnavailable(f"{self.where} withheld its answer ({reason}); rephrase the question")

    def no_list(self) -> NotReady:
        how = "does not list its models as OpenAI-compatible servers do"
        return NotReady(f"{self.where} {how}; check edge.base_url, which mostly ends with /v1")

    def no_model(self, wanted: str, there: tuple[str, ...]) -> NotReady:
        """`wanted` is empty when there is a choice and nobody has made it."""
        has = f"it has {', '.join(there[:20]) or 'none'}"
        fault = f"has no model {wanted!r}" if wanted else "has not just one model"
        return NotReady(f"{self.where} {fault}: {has}; name one in edge.server_model, or load it there")

    def _status(self, error: APIStatusError) -> EdgewiseError:
        status = error.status_code
        if status in {401, 403}:
            return NotReady(f"{self.where} wants another API key ({status}); check edge.api_key_file")
        if status == 413:
            return TooLarge(f"{self.where} finds the prompt too large (413); shorten it")
        if status in {400, 422}:
            if overflows(error):
                return ContextOverflow(f"{self.where} cannot fit the prompt and its answer: {detail(error)}")
            return InvalidInput(f"{self.where} refused the request ({status}): {detail(error)}; ask in another way")
        if status in {429, 503}:  # 503: still loading its model
            words = f"{self.where} is busy ({status}): {detail(error)}; try again later"
            return Overloaded(words, retry_after_s=retry_after(error))
        if status >= 500:
            return EdgeUnavailable(f"{self.where} failed ({status}): {detail(error)}; see its log")
        return EdgeUnavailable(f"{self.where} answered with HTTP {status}; check edge.base_url")
