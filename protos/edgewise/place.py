"""Where things are on this machine, by the XDG base directory specification."""

from __future__ import annotations

import os
from pathlib import Path

from edgewise.errors import NotReady


def data_dir() -> Path:
    """Records, documents, the token and the socket. EDGEWISE_DATA_DIR wins over XDG_DATA_HOME."""
    given = os.environ.get("EDGEWISE_DATA_DIR")
    return Path(given).expanduser() if given else _xdg("XDG_DATA_HOME", ".local/share")


def cache_dir() -> Path:
    """Models: what can be fetched or built again."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def config_dir() -> Path:
    return _xdg("XDG_CONFIG_HOME", ".config")


def read_secret(file: Path | None, setting: str) -> str:
    """The secret in a file; empty without a file, NotReady when it cannot be read or holds nothing."""
    if file is None:
        return ""
    try:
        secret = file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise NotReady(f"{setting}: {file} cannot be read; check the path and its permissions") from None
    if not secret:
        raise NotReady(f"{setting}: {file} is empty; put the secret into it")
    return secret


def _xdg(variable: str, fallback: str) -> Path:
    home = os.environ.get(variable)
    return (Path(home) if home else Path.home() / fallback) / "edgewise"
