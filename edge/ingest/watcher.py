"""Folders that are followed: what comes or changes is known within a second, and what goes is forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from edge.holdings import Library
from edge.ingest.folder import File, Found, Refused, gone_below, read, shown, walk
from edge.ingest.ingester import Ingester
from edgewise.errors import EdgewiseError, InvalidInput, NotFound
from edgewise.types import Privacy, Upload

log = logging.getLogger(__name__)

_QUIET_MS = 200  # a file that is being written to is left alone for so long


class Watcher:
    """`run` follows the folders until it is cancelled. What fails is logged, and tried again when it changes."""

    def __init__(
        self, folders: Sequence[Path], ingester: Ingester, library: Library, collection: str, label: Privacy
    ) -> None:
        self._folders = tuple(folder.expanduser().resolve() for folder in folders)
        self._ingester = ingester
        self._library = library
        self._collection = collection
        self._label = label

    async def run(self) -> None:
        from watchfiles import awatch

        present = [folder for folder in self._folders if await asyncio.to_thread(folder.is_dir)]
        for missing in set(self._folders) - set(present):
            log.warning("%s is not watched: it is no directory that is there", missing)
        if not present:
            return
        # What changes while the folders are read the first time waits in `changes`.
        changes = awatch(*present, debounce=_QUIET_MS, step=_QUIET_MS // 2, ignore_permission_denied=True)
        reading = asyncio.create_task(anext(changes))
        try:
            await self._follow(present)
            while True:
                changed = {Path(path) for _, path in await reading}
                reading = asyncio.create_task(anext(changes))
                await self._follow(_visible(changed, present))
        finally:
            reading.cancel()

    async def _follow(self, paths: Iterable[Path]) -> None:
        for path in paths:
            try:
                await self._forget_missing(path)
                for found in await asyncio.to_thread(self._walked, path):
                    await self._take(found)
            except EdgewiseError as error:
                log.warning("%s could not be followed: %s", shown(str(path)), error.message)

    def _walked(self, path: Path) -> tuple[Found, ...]:
        return tuple(walk(path, str(path), self._ingester.max_bytes))

    async def _take(self, found: Found) -> None:
        if isinstance(found, Refused):
            log.info("%s %s", found.source, found.reason)
        elif isinstance(found, File):
            try:
                data = await asyncio.to_thread(read, found.path, self._ingester.max_bytes)
            except InvalidInput as error:
                log.info("%s %s", found.source, error.message)
                return
            upload = Upload(source=found.source, data=data, collection=self._collection, label=self._label)
            done = await self._ingester.ingest(upload)
            if done.status == "FAILED":
                log.info("%s %s", done.source, done.reason)

    async def _forget_missing(self, path: Path) -> None:
        """Documents of a path, or from below it, whose files are gone; none of a folder that is itself gone."""
        documents = await self._library.documents(self._collection)
        away = [PurePath(folder) for folder in self._folders if not await asyncio.to_thread(folder.exists)]
        gone, _ = await asyncio.to_thread(gone_below, documents, [path], frozenset(away))
        for document in gone:
            with suppress(NotFound):
                await self._library.delete(document.id)


def _visible(changed: Iterable[Path], roots: Sequence[Path]) -> Iterator[Path]:
    """Those without a hidden part below their root, and that are no links to elsewhere."""
    for path in sorted(changed):
        root = next((root for root in roots if root in path.parents), None)
        if root is None or any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if path.is_symlink() and root not in path.resolve().parents:
            continue
        yield path
