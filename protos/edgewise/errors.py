"""The error tree: every leaf has one gRPC status, one HTTP code, and a message that says what to do next.

EdgewiseError
|- InvalidInput          INVALID_ARGUMENT     the request is at fault
|  |- TooLarge                                  ... because of its size
|  |- ContextOverflow                           ... because it does not fit the model's context window
|- NotFound              NOT_FOUND
|- Conflict              ALREADY_EXISTS       the place is taken: a data directory, an address, a request id
|- Unauthenticated       UNAUTHENTICATED
|- Forbidden             PERMISSION_DENIED    the caller is known, and this is not for it
|- Withheld              FAILED_PRECONDITION  it may not leave the device, and nothing else could answer
|- NotReady              FAILED_PRECONDITION  something must be set up first: a model, a key, a price
|- OverBudget            RESOURCE_EXHAUSTED   the request's own money ran out
|- Overloaded            RESOURCE_EXHAUSTED   try again after `retry_after_s`
|- DeadlineExceeded      DEADLINE_EXCEEDED
|- Cancelled             CANCELLED
|- EdgeUnavailable       UNAVAILABLE          the edge node is down or crashed
|- CloudUnavailable      UNAVAILABLE          the cloud cannot be used now, or at all; transient ones may pass
|  |- Unanswered                                ... though it had the request: it may have worked, and bill for it
|- BrokenOff             UNAVAILABLE          an answer broke off after its first token: nobody takes over
|- Internal              INTERNAL             a fault of ours
"""

from __future__ import annotations

from typing import ClassVar


class EdgewiseError(Exception):
    """`code` is the name of its gRPC status, `http` its HTTP status.

    With `may_be_at_work`, somebody may be working on the request, or have, and bill for it.
    """

    code: ClassVar[str] = "INTERNAL"
    http: ClassVar[int] = 500
    may_be_at_work: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def reason(self) -> str:
        """The name of this error on the wire."""
        return type(self).__name__


class InvalidInput(EdgewiseError):
    code = "INVALID_ARGUMENT"
    http = 400


class TooLarge(InvalidInput):
    http = 413


class ContextOverflow(InvalidInput):
    """The prompt and the wanted answer do not fit the context window; the message has the numbers."""


class NotFound(EdgewiseError):
    code = "NOT_FOUND"
    http = 404


class Conflict(EdgewiseError):
    code = "ALREADY_EXISTS"
    http = 409


class Unauthenticated(EdgewiseError):
    code = "UNAUTHENTICATED"
    http = 401


class Forbidden(EdgewiseError):
    code = "PERMISSION_DENIED"
    http = 403


class Withheld(EdgewiseError):
    code = "FAILED_PRECONDITION"
    http = 403


class NotReady(EdgewiseError):
    code = "FAILED_PRECONDITION"
    http = 503


class OverBudget(EdgewiseError):
    code = "RESOURCE_EXHAUSTED"
    http = 402


class Overloaded(EdgewiseError):
    code = "RESOURCE_EXHAUSTED"
    http = 429


class DeadlineExceeded(EdgewiseError):
    code = "DEADLINE_EXCEEDED"
    http = 504
    may_be_at_work = True


class Cancelled(EdgewiseError):
    code = "CANCELLED"
    http = 499
    may_be_at_work = True


class EdgeUnavailable(EdgewiseError):
    code = "UNAVAILABLE"
    http = 503


class CloudUnavailable(EdgewiseError):
    code = "UNAVAILABLE"
    http = 502


class Unanswered(CloudUnavailable):
    """The request arrived, or may have, and no whole answer came back. What that cost, nobody here knows."""

    may_be_at_work = True


class BrokenOff(EdgewiseError):
    code = "UNAVAILABLE"
    http = 502


class Internal(EdgewiseError):
    code = "INTERNAL"
    http = 500


LEAVES: dict[str, type[EdgewiseError]] = {
    leaf.__name__: leaf
    for leaf in (
        InvalidInput, TooLarge, ContextOverflow, NotFound, Conflict, Unauthenticated, Forbidden, Withheld, NotReady,
        OverBudget, Overloaded, DeadlineExceeded, Cancelled, EdgeUnavailable, CloudUnavailable, Unanswered, BrokenOff,
        Internal,
    )
}  # fmt: skip
