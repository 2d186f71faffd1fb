"""`edgewise forget`: what is taken out for good, in an order that a crash cannot make worse.

What was derived goes first, the records last, because everything is found through them: who forgets again after a
crash finishes it. Then the files are written anew, so that no byte of it is left in them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edgewise.errors import Forbidden, InvalidInput, NotFound
from edgewise.ports import Forgetful
from edgewise.types import Forgotten, Unwanted
from router.apps import Apps
from router.arbiter.arbiter import forget_learned
from router.log import Log, parse_moment
from router.log.forgetting import Doomed
from router.reach import OWNERS_HTTP, Reach, info_of, own_collection
from router.running import Fits, Floor, Running

log = logging.getLogger(__name__)

_PATIENCE_S = 60.0
ELSEWHERE = "exported files, comparisons and backups are not reached: delete those by hand"
WATCHED = "a watched folder brings a document back as long as its file is there"
LEARNED = (
    "what `edgewise train --from-log` had learned is deleted, too; train again. A daemon that runs decides by it until "
    "its next start"
)

Ready = Callable[[], Awaitable[None]]
Answers = Callable[[], Awaitable[str]]


async def _no_answers() -> str:
    return ""


@dataclass
class Forgetting:
    """`settled` waits for what is still being written; `answers` drops the cloud's, and says what it cannot reach.

    `remarks` are what this installation sends elsewhere.
    """

    log: Log
    edge: Forgetful
    floor: Floor
    settled: Ready
    edge_ready: Ready
    apps: Apps
    data_dir: Path
    answers: Answers = _no_answers
    remarks: tuple[str, ...] = ()
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def forget(self, unwanted: Unwanted, reach: Reach) -> Forgotten:
        """What is gone afterwards; Conflict while a question of it runs, Forbidden for an app that means another."""
        wanted = _checked(unwanted, reach)
        async with self._turn:
            await self.edge_ready()
            if wanted.document_id:
                gone = await self._document(wanted.document_id, reach)
            else:
                gone = await self._matching(wanted, reach)
            await self.log.scrub()
            await self.edge.scrub()
            told = await self.answers()
        log.info("forgot records=%d redacted=%d documents=%d cloud_info=%d",
                 gone.records, gone.redacted, gone.documents, gone.cloud_info)  # fmt: skip
        remarks = (ELSEWHERE, *self.remarks, *gone.remarks, *([told] if told else []))
        return gone.model_copy(update={"remarks": remarks})

    async def _document(self, document_id: str, reach: Reach) -> Forgotten:
        """Nobody finds it any more, those who may have found it finish, and then their records go."""
        documents = await self._deleted(document_id, reach)
        await self.floor.cleared(_PATIENCE_S)
        await self.settled()
        gone = await self._erased(await self.log.doomed(Unwanted(), (document_id,), reach.app))
        return gone.model_copy(update={"documents": documents, "remarks": (*gone.remarks, WATCHED)})

    async def _matching(self, wanted: Unwanted, reach: Reach) -> Forgotten:
        with self.floor.barred(_fits(wanted, await self.log.doomed(wanted))):
            await self.settled()
            if not _is_everything(wanted):
                return await self._erased(await self.log.doomed(wanted))
            if reach.is_owner:
                with suppress(NotFound):
                    await self.apps.revoke(wanted.app)
            return await self._everything(wanted, reach)

    async def _everything(self, wanted: Unwanted, reach: Reach) -> Forgotten:
        """Of an app. Through its documents the records are found that cite them, so those go before."""
        app = wanted.app
        found = [one.id for one in await self.edge.documents(own_collection(app))]
        gone = await self._erased(await self.log.doomed(wanted, found, reach.app))
        documents = await self._emptied(own_collection(app))
        info = await self._emptied(info_of(app))
        await self.floor.cleared(_PATIENCE_S)
        await self._erased(await self.log.doomed(Unwanted(), found, reach.app))
        shared = f"what {app} put into collections that it shares stays: whose a document is, is not kept"
        told = {"documents": documents, "cloud_info": gone.cloud_info + info, "remarks": (*gone.remarks, shared)}
        return gone.model_copy(update=told)

    async def _deleted(self, document_id: str, reach: Reach) -> int:
        if not reach.is_owner:
            theirs = [one.id for name in reach.collections for one in await self.edge.documents(name)]
            if document_id not in theirs:
                return 0
        with suppress(NotFound):
            await self.edge.delete_document(document_id)
            return 1
        return 0

    async def _erased(self, doomed: Doomed) -> Forgotten:
        info = 0
        for app, passages in doomed.looked_up.items():
            info += await self.edge.drop(passages, info_of(app))
        for app in doomed.blind:
            info += await self._emptied(info_of(app))
        had_learned = doomed.graded and await asyncio.to_thread(forget_learned, self.data_dir)
        await self.log.erase(doomed)
        return Forgotten(
            records=len(doomed.ids),
            redacted=len(doomed.repeating),
            cloud_info=info,
            remarks=(LEARNED,) if had_learned else (),
        )

    async def _emptied(self, collection: str) -> int:
        count = 0
        for document in await self.edge.documents(collection):
            with suppress(NotFound):
                await self.edge.delete_document(document.id)
                count += 1
        return count


def _checked(unwanted: Unwanted, reach: Reach) -> Unwanted:
    """What is meant, within reach."""
    if not any(unwanted.model_dump().values()):
        raise InvalidInput("say what to forget: a record, a conversation, a document, an app, a user or a date")
    if unwanted.document_id and any(unwanted.model_dump(exclude={"document_id"}).values()):
        raise InvalidInput("a document is forgotten by itself; leave the rest out")
    parse_moment(unwanted.before)
    if reach.is_owner:
        return unwanted
    if unwanted.app not in {"", reach.app}:
        raise Forbidden(f"{reach.app} may forget what is its own, and nothing of other apps; leave app out")
    return unwanted.model_copy(update={"app": reach.app})


def _is_everything(wanted: Unwanted) -> bool:
    """Of an app, not some of it."""
    only = wanted.model_dump(exclude={"app"})
    return bool(wanted.app) and wanted.app != OWNERS_HTTP and not any(only.values())


def _fits(wanted: Unwanted, doomed: Doomed) -> Fits:
    """Whether a question that runs would leave something of what is to be forgotten, or reads it just now."""

    def fits(one: Running) -> bool:
        if one.shadow_of in doomed.ids or (one.app, one.conversation_id) in doomed.talks:
            return True
        named = {"conversation_id": wanted.conversation_id, "app": wanted.app, "user_id": wanted.user_id}
        given = {name: value for name, value in named.items() if value}
        is_some = wanted.record_id or wanted.before or not given
        return not is_some and all(getattr(one, name) == value for name, value in given.items())

    return fits
