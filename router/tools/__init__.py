"""The agent's tools. What a tool returns is data: nothing in it can add a tool or choose one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from edgewise.types import Passage, Question
from router.desk import Desk
from router.tools import calculator, clock, cloud_info, search
from router.tools.found import Found

Run = Callable[[Question, Sequence[Passage], Desk], Awaitable[Found]]


@dataclass(frozen=True, slots=True)
class Tool:
    purpose: str
    run: Run


TOOLS: dict[str, Tool] = {
    "search": Tool("look up the documents on this device", search.run),
    "library": Tool("look up the public library in the cloud", cloud_info.run),
    "calculator": Tool("arithmetic with numbers", calculator.run),
    "clock": Tool("what day, date and time it is now", clock.run),
}

LOOK_UPS = ("search", "library")
"""Those that find passages, the free one first."""
ANSWER = "answer"
"""Not a tool, but what the agent may choose instead of one."""
PURPOSES = {name: tool.purpose for name, tool in TOOLS.items()} | {ANSWER: "answer from what is known"}
