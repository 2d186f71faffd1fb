"""How far a caller reaches: the owner to everything, an app to what is its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgewise.errors import Forbidden
from edgewise.types import Document, Question, SideStatus, cloud_info

OWNERS_HTTP = "http"
"""The name under which the owner's own questions over HTTP are recorded: no app has it."""


def own_collection(app: str) -> str:
    """Of an app that was given none: nobody else's documents are in it, unless the owner puts some there."""
    return f"app-{app}"


def info_of(app: str) -> str:
    """Where it is kept what the cloud informed of for the records of an app, or the owner's."""
    return cloud_info("" if app == OWNERS_HTTP else app)


@dataclass(frozen=True, slots=True)
class Reach:
    """Of the app of this name; the owner has none. What an app ingests goes into the first of its collections."""

    app: str = ""
    collections: tuple[str, ...] = ()

    @property
    def is_owner(self) -> bool:
        return not self.app

    def owner_only(self, what: str) -> None:
        """Forbidden for an app."""
        if not self.is_owner:
            raise Forbidden(f"{what} is for the owner of this machine, not for apps; ask with the owner's token")

    def collection(self, wanted: str) -> str:
        """The one that is meant: an app's first where it names none; Forbidden."""
        if self.is_owner:
            return wanted
        self._check((wanted,) if wanted else ())
        return wanted or self.collections[0]

    def all_of(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """The ones that are meant: all of an app's where it names none, and of the owner's all that there are."""
        chosen = tuple(wanted)
        if self.is_owner:
            return chosen
        self._check(chosen)
        return chosen or self.collections

    def asked(self, question: Question) -> Question:
        """The question in the collections that it may look into; Forbidden."""
        if self.is_owner:
            return question
        return question.model_copy(update={"collections": self.all_of(question.collections)})

    def has(self, document: Document) -> bool:
        return self.is_owner or document.collection in self.collections

    def _check(self, wanted: Iterable[str]) -> None:
        """Whether there is such a collection makes no difference."""
        for one in wanted:
            if one not in self.collections:
                may = ", ".join(self.collections)
                raise Forbidden(
                    f"{self.app} may not use the collection {one[:80]!r}, only {may}; the owner can change that with "
                    "`edgewise apps add --collection`"
                )


OWNERS = Reach()


def for_apps(status: SideStatus) -> SideStatus:
    """What a side can do, without how much others have or do there."""
    hidden = {"documents": 0, "passages": 0, "queued": 0, "running": 0, "adapters": (), "reason": ""}
    return status.model_copy(update=hidden)
