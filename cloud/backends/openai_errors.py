"""What an OpenAI-compatible server can do wrong, in words; and which of it may pass when one tries again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.config import CloudSettings
from edge.openai_errors import detail, overflows, retry_after
from edgewise.errors import (
    CloudUnavailable,
    ContextOverflow,
    EdgewiseError,
    InvalidInput,
    Overloaded,
    TooLarge,
)

if TYPE_CHECKING:
    from openai import APIError, APIStatusError
    from tenacity import RetryCallState

_DETAIL = 300


def transient(error: BaseException) -> bool:
    """May another try help? Not after a timeout, because the server may still be working, and billing, on the first."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(error, APIStatusError):
        return error.status_code >= 500 or (error.status_code == 429 and not _used_up(error))
    return isinstance(error, APIConnectionError) and not isinstance(error, APITimeoutError)


def patience(state: RetryCallState) -> float:
    """Seconds before the next try: what the server asked for, and at least a backoff with full jitter."""
    from openai import APIStatusError
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    asked = retry_after(error) if isinstance(error, APIStatusError) else None
    return max(asked or 0.0, wait_random_exponential(multiplier=0.25, max=8)(state))


class Translator:
    """The SDK's errors -> ours. `where` begins every message."""

    def __init__(self, settings: CloudSettings, *, has_key: bool) -> None:
        self._settings = settings
        self._has_key = has_key
        self.where = f"the cloud at {settings.server}"

    def refused(self, error: APIError) -> EdgewiseError:
        """The error of a call that brought no answer at all."""
        from openai import APIStatusError, APITimeoutError

        if isinstance(error, APIStatusError):
            return self._status(error)
        if isinstance(error, APITimeoutError):
            return self.too_slow()
        return CloudUnavailable(f"{self.where} cannot be reached; check cloud.base_url and the network")

    def broken_off(self, error: APIError) -> CloudUnavailable:
        """The error of an answer that began and did not end."""
        from openai import APIConnectionError, APITimeoutError

        if isinstance(error, APITimeoutError):
            return self.too_slow()
        if isinstance(error, APIConnectionError):
            return CloudUnavailable(f"{self.where} broke the connection in the middle of an answer; ask again")
        return CloudUnavailable(f"{self.where} broke its answer off: {error.message[:_DETAIL]}; ask again")

    def too_slow(self) -> CloudUnavailable:
        limit = f"{self._settings.timeout_s:g} s"
        return CloudUnavailable(f"{self.where} sent nothing for {limit}; ask again, or raise cloud.timeout_s")

    def garbage(self) -> CloudUnavailable:
        return CloudUnavailable(f"{self.where} sent something that is not a whole answer; check cloud.base_url")

    def withheld(self, reason: str) -> CloudUnavailable:
        return CloudUnavailable(f"{self.where} withheld its answer ({reason}); rephrase the question")

    def _status(self, error: APIStatusError) -> EdgewiseError:
        status = error.status_code
        if status in {401, 403}:
            what = "refused the API key" if self._has_key else "asks for an API key"
            return CloudUnavailable(f"{self.where} {what} ({status}); check cloud.api_key_file")
        if status == 404:
            model = self._settings.model
            return CloudUnavailable(f"{self.where} has no model {model!r} (404); check cloud.model and cloud.base_url")
        if status == 413:
            return TooLarge(f"{self.where} finds the prompt too large (413); shorten it")
        if status in {400, 422}:
            return _wrong(error, self.where)
        if status == 429:
            if _used_up(error):
                return CloudUnavailable(f"{self.where} has no quota left (429); check the account's billing")
            return Overloaded(f"{self.where} is overloaded (429); try again later", retry_after_s=retry_after(error))
        if status >= 500:
            return CloudUnavailable(f"{self.where} failed ({status}); try again later")
        return CloudUnavailable(f"{self.where} answered with HTTP {status}; check cloud.base_url")


def _wrong(error: APIStatusError, where: str) -> InvalidInput:
    if overflows(error):
        return ContextOverflow(f"{where} cannot fit the prompt and its answer: {detail(error)}")
    why = f"{where} refused the request ({error.status_code}): {detail(error)}"
    return InvalidInput(f"{why}; cloud.omit can leave fields out")


def _used_up(error: APIStatusError) -> bool:
    return error.code == "insufficient_quota"
