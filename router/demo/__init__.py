"""The demo's own small world: a night ferry, what its crew keeps on board, and what its office keeps ashore."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def device_documents() -> Path:
    """The folder of documents that the edge node ingests."""
    return _folder() / "device"


def cloud_documents() -> Path:
    """The folder of documents that only the cloud can look into."""
    return _folder() / "cloud"


def questions() -> Path:
    """The graded questions in the groups device, cloud, general, steps and unanswerable."""
    return _folder() / "questions.jsonl"


def trace() -> Path:
    """What came of them in eight modes, recorded: `edgewise replay` answers from it."""
    return _folder() / "trace.jsonl.gz"


def _folder() -> Path:
    return Path(str(files("router.demo")))
