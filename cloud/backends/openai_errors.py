"""What an OpenAI-compatible server can do wrong, in words; and whether to try again, or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.backends.failure import Failure
from cloud.config import CloudSettings
from edge.openai_errors import detail, overflows, retry_after
from edgewise.errors import ContextOverflow, EdgewiseError, InvalidInput, Overloaded, TooLarge

if TYPE_CHECKING:
    from openai import APIError, APIStatusError, APITimeoutError

_DETAIL = 300


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
            return self._timed_out(error)
        return Failure(f"{self.where} cannot be reached; check cloud.base_url and the network", again=True)

    def broken_off(self, error: APIError) -> Failure:
        """The error of an answer that began and did not end."""
        from openai import APIConnectionError, APITimeoutError

        if isinstance(error, APITimeoutError):
            return self.too_slow()
        if isinstance(error, APIConnectionError):
            return Failure(f"{self.where} broke the connection in the middle of an answer; ask again", billed=True)
        return Failure(f"{self.where} broke its answer off: {error.message[:_DETAIL]}; ask again", billed=True)

    def too_slow(self) -> Failure:
        """Not tried again there: the server may still be working, and billing."""
        limit = f"{self._settings.timeout_s:g} s"
        return Failure(f"{self.where} sent nothing for {limit}; ask again, or raise cloud.timeout_s", billed=True)

    def garbage(self) -> Failure:
        what = "sent something that is not a whole answer"
        return Failure(f"{self.where} {what}; check cloud.base_url", billed=True)

    def withheld(self, reason: str) -> Failure:
        words = f"{self.where} withheld its answer ({reason}); rephrase the question"
        return Failure(words, elsewhere=False, billed=True)

    def _timed_out(self, error: APITimeoutError) -> Failure:
        from httpx2 import ConnectTimeout, PoolTimeout

        if isinstance(error.__cause__, ConnectTimeout | PoolTimeout):
            limit = f"{self._settings.connect_timeout_s:g} s"
            words = f"{self.where} took no connection within {limit}; check cloud.base_url and the network"
            return Failure(words, again=True)
        return self.too_slow()

    def _status(self, error: APIStatusError) -> EdgewiseError:
        status = error.status_code
        if status in {401, 403}:
            what = "refused the API key" if self._has_key else "asks for an API key"
            return Failure(f"{self.where} {what} ({status}); check cloud.api_key_file")
        if status == 404:
            model = self._settings.model
            return Failure(f"{self.where} has no model {model!r} (404); check cloud.model and cloud.base_url")
        if status == 413:
            return TooLarge(f"{self.where} finds the prompt too large (413); shorten it")
        if status in {400, 422}:
            return _wrong(error, self.where)
        if status == 429:
            if _used_up(error):
                return Failure(f"{self.where} has no quota left (429); check the account's billing")
            return Overloaded(f"{self.where} is overloaded (429); try again later", retry_after_s=retry_after(error))
        if status >= 500:
            words = f"{self.where} failed ({status}); try again later"
            return Failure(words, again=True, retry_after_s=retry_after(error))
        return Failure(f"{self.where} answered with HTTP {status}; check cloud.base_url")


def _wrong(error: APIStatusError, where: str) -> InvalidInput:
    if overflows(error):
        return ContextOverflow(f"{where} cannot fit the prompt and its answer: {detail(error)}")
    why = f"{where} refused the request ({error.status_code}): {detail(error)}"
    return InvalidInput(f"{why}; cloud.omit can leave fields out")


def _used_up(error: APIStatusError) -> bool:
    return error.code == "insufficient_quota"
