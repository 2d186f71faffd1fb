"""Edgewise for apps: the contract and the client. `from edgewise import Client, Question`."""

from edgewise.client import Client
from edgewise.errors import EdgewiseError
from edgewise.types import Done, Event, Grade, Passage, Privacy, Question, Record, Sampling, Step, Token

__all__ = [
    "Client",
    "Done",
    "EdgewiseError",
    "Event",
    "Grade",
    "Passage",
    "Privacy",
    "Question",
    "Record",
    "Sampling",
    "Step",
    "Token",
]
