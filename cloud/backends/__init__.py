"""What can stand behind the gate: one file for each."""

from __future__ import annotations

from typing import Protocol

from edgewise.ports import Generator
from edgewise.types import Prompt, SideStatus


class Backend(Generator[Prompt], Protocol):
    """A large model, or what stands in for one."""

    async def status(self) -> SideStatus: ...

    async def close(self) -> None: ...
