"""Edgewise for apps: the contract and the client. `from edgewise import Client, Question`.

The names are imported when they are first used: gRPC and pydantic take half a second, and `--help` needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgewise.client import Answer, Client
    from edgewise.errors import EdgewiseError
    from edgewise.types import (
        Citations,
        Done,
        Event,
        Grade,
        Passage,
        Privacy,
        Question,
        Record,
        Retraction,
        Sampling,
        Step,
        Token,
        Upload,
    )

__all__ = [
    "Answer",
    "Citations",
    "Client",
    "Done",
    "EdgewiseError",
    "Event",
    "Grade",
    "Passage",
    "Privacy",
    "Question",
    "Record",
    "Retraction",
    "Sampling",
    "Step",
    "Token",
    "Upload",
]
_ELSEWHERE = {"Answer": "client", "Client": "client", "EdgewiseError": "errors"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'edgewise' has no attribute {name!r}")
    return getattr(import_module(f"edgewise.{_ELSEWHERE.get(name, 'types')}"), name)
