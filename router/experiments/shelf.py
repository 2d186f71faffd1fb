"""Experiments as files, `DATA_DIR/experiments/NAME.json`, each written whole and for its owner alone."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from pydantic import ValidationError

from edgewise.errors import EdgewiseError, NotFound, NotReady
from edgewise.types import Experiment, ExperimentStatus, Skipped, Value
from edgewise.wire import invalid
from router.modes import parse

log = logging.getLogger(__name__)


class Kept(Value):
    """`spent_usd` is what the shadow has cost, with what it may still cost. `final` is how it was when it stopped."""

    experiment: Experiment
    spent_usd: float = 0.0
    skipped: tuple[Skipped, ...] = ()
    final: ExperimentStatus | None = None


class Shelf:
    """NotReady says what is wrong with a file, or with the directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._turn = asyncio.Lock()

    async def names(self) -> tuple[str, ...]:
        return await asyncio.to_thread(lambda: tuple(sorted(path.stem for path in self._directory.glob("*.json"))))

    async def read(self, name: str) -> Kept:
        """NotFound when there is no such experiment."""
        return await asyncio.to_thread(self._read, name)

    async def write(self, kept: Kept) -> None:
        """In turn, and to the end also if nobody waits for it any more: no older state ever follows a newer one."""
        await asyncio.shield(asyncio.ensure_future(self._in_turn(kept)))

    async def _in_turn(self, kept: Kept) -> None:
        async with self._turn:
            await asyncio.to_thread(self._write, kept)

    async def readable(self) -> tuple[Kept, ...]:
        """All that can be read, the one that was started first first; of others the log says why not."""
        found: list[Kept] = []
        for name in await self.names():
            try:
                found.append(await self.read(name))
            except EdgewiseError as error:
                log.warning("experiment left out: %s", error.message)
        return tuple(sorted(found, key=lambda kept: kept.experiment.started_at))

    def _read(self, name: str) -> Kept:
        path = self._directory / f"{name}.json"
        try:
            kept = Kept.model_validate_json(path.read_bytes())
            for arm in kept.experiment.arms:
                parse(arm.mode)
        except FileNotFoundError:
            raise NotFound(f"there is no experiment `{name}`; start one with `edgewise experiment start`") from None
        except OSError as error:
            raise NotReady(f"{path} cannot be read ({error.strerror}); check its permissions") from None
        except (ValidationError, EdgewiseError) as error:
            why = invalid(error).message if isinstance(error, ValidationError) else error.message
            raise NotReady(f"{path} is damaged ({why}); put it right or delete it; all else goes on") from None
        if kept.experiment.name != name or not kept.experiment.arms:
            raise NotReady(f"{path} is damaged (it holds another experiment, or none); put it right or delete it")
        return kept

    def _write(self, kept: Kept) -> None:
        path = self._directory / f"{kept.experiment.name}.json"
        draft = path.with_suffix(".new")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - with a mode
                file.write(kept.model_dump_json(indent=1).encode())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise NotReady(f"{path} cannot be written ({error.strerror}); free the disk or its permissions") from None
