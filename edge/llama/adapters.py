"""The LoRA adapters that the edge has: the GGUF files of one directory, each known by its file's name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from edge.models import digests
from edgewise.errors import NotFound, NotReady


@dataclass(frozen=True, slots=True)
class Adapter:
    """`digest` is the SHA-256 of the file. Without a name it is the model as it is."""

    name: str = ""
    digest: str = ""
    path: Path = Path()


class Adapters:
    """`active` is the one of all requests that name none. Nothing here touches llama.cpp."""

    def __init__(self, directory: Path | None) -> None:
        self.active = Adapter()
        self._directory = directory

    def names(self) -> tuple[str, ...]:
        if self._directory is None or not self._directory.is_dir():
            return ()
        return tuple(sorted(path.stem for path in self._directory.glob("*.gguf")))

    async def find(self, name: str) -> Adapter:
        """The adapter of that name as its file is now; NotFound names those that there are, NotReady is for a file that
        cannot be read."""
        if not name:
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
