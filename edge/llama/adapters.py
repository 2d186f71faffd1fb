"""The LoRA adapters that the edge has: the GGUF files of one directory, each known by its file's name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from edge.models import digests
from edge.models.digests import write_atomically
from edgewise.errors import NotFound, NotReady

_ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Adapter:
    """`digest` is the SHA-256 of the file. Without a name it is the model as it is."""

    name: str = ""
    digest: str = ""
    path: Path = Path()


BARE = "none"
"""What a request names that wants the model as it is, whatever the default."""


class Adapters:
    """`active` is the one of all requests that name none, also after a restart. Nothing here touches llama.cpp."""

    def __init__(self, directory: Path | None) -> None:
        self.active = Adapter()
        self._directory = directory

    def names(self) -> tuple[str, ...]:
        if self._directory is None or not self._directory.is_dir():
            return ()
        return tuple(sorted(path.stem for path in self._directory.glob("*.gguf") if path.stem != BARE))

    def remembered(self) -> str:
        """The name of the one that was active last."""
        try:
            return (self._directory / _ACTIVE).read_text(encoding="utf-8") if self._directory else ""
        except (OSError, ValueError):
            return ""

    def remember(self, adapter: Adapter) -> None:
        """NotReady if it cannot be written down."""
        self.active = adapter
        if self._directory is None:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            write_atomically(self._directory / _ACTIVE, adapter.name)
        except OSError as error:
            raise NotReady(
                f"the adapter is in use, but not after a restart: {self._directory} cannot be written: {error.strerror}"
            ) from None

    async def find(self, name: str) -> Adapter:
        """The adapter of that name as its file is now; NotFound names those that there are, NotReady is for a file that
        cannot be read."""
        if name in {"", BARE}:
            return Adapter()
        names = await asyncio.to_thread(self.names)
        if name not in names or self._directory is None:
            known = f"there are {', '.join(names)}" if names else f"put a GGUF adapter into {self._directory}"
            raise NotFound(f"no adapter is called {name[:100]!r}; {known}")
        path = self._directory / f"{name}.gguf"
        try:
            return Adapter(name, await asyncio.to_thread(digests.digest, path), path)
        except OSError as error:
            raise NotReady(f"{path} cannot be read: {error.strerror}; replace or remove it") from None
