"""What the gateway's own wrappers have to know of a failure, besides what its caller is told."""

from __future__ import annotations

from edgewise.errors import CloudUnavailable, EdgewiseError, Overloaded, Unanswered


class Failure(CloudUnavailable):
    """A CloudUnavailable to who asked: on the wire it has that name, or the one of Unanswered if it may be billed.

    `again`: it may pass, so that another try at the same upstream may help. `elsewhere`: it is this upstream's and not
    the request's, so that another upstream may be asked, and this one has failed. `billed`: it may have worked, and
    bill for it.
    """

    def __init__(
        self,
        message: str,
        *,
        again: bool = False,
        elsewhere: bool = True,
        billed: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.again = again
        self.elsewhere = elsewhere
        self.billed = billed

    @property
    def reason(self) -> str:
        return (Unanswered if self.billed else CloudUnavailable).__name__


def may_pass(error: EdgewiseError) -> bool:
    """Whether another try at the same upstream may help."""
    return isinstance(error, Overloaded) or (isinstance(error, Failure) and error.again)


def is_elsewhere_better(error: EdgewiseError) -> bool:
    """Whether another upstream may do what this one could not; never where the request itself is at fault."""
    return isinstance(error, Overloaded) or (isinstance(error, Failure) and error.elsewhere)
