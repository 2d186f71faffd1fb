"""The files under a path: which to read, under which name, and why not the others. Nothing here blocks or is followed.

One walk serves the command line, the gateway's corpora, and whoever else has a folder.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit

from edge.ingest.loaders import LOADERS, ending
from edgewise.errors import InvalidInput
from edgewise.types import Document

_URL = re.compile(r"(?i)[a-z][a-z0-9+.-]*://|file:/")
_PIECE = 1024 * 1024
_NOT_REGULAR = "is not a regular file; copy what it gives into one"
_LEADS_OUT = "is a link that leads out of the directory; give what it leads to as a path of its own"

MAX_BYTES = 64 * _PIECE  # for who has no setting: the default of edge.max_document_bytes


@dataclass(frozen=True, slots=True)
class File:
    """A regular file with a loader, as it was when it was listed. `source` names it in citations."""

    path: Path
    source: str
    size: int


@dataclass(frozen=True, slots=True)
class Refused:
    """`reason` follows "SOURCE: " and says what to do."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file in a folder that nobody could mean: there is no loader for its `ending`."""

    source: str
    ending: str


Found = File | Refused | Skipped


def survey(arguments: Iterable[str], max_bytes: int) -> tuple[tuple[Path, ...], tuple[Found, ...]]:
    """The paths that some arguments mean, and what is there, each source once; the absolute path is the source."""
    roots: dict[Path, None] = {}
    found: dict[str, Found] = {}
    for argument in arguments:
        try:
            root = located(argument)
        except InvalidInput as error:
            found[argument] = Refused(shown(argument), error.message)
            continue
        roots[root] = None
        for one in walk(root, str(root), max_bytes):
            found.setdefault(one.source, one)
    return tuple(roots), tuple(found.values())


def located(argument: str) -> Path:
    """The path that a path or a file:// URL means, absolute. InvalidInput for what is not on this device."""
    if not argument:
        raise InvalidInput("is empty; give a file or a directory")
    path = Path(_path_of_url(argument) if _URL.match(argument) else argument)
    # Only the file system knows what `..` after a link means.
    return path.resolve() if ".." in path.parts else path.absolute()


def walk(root: Path, name: str, max_bytes: int) -> Iterator[Found]:
    """What a file or a directory holds, in a fixed order; `name` stands for `root` in the sources.

    In a directory, hidden files and what has no loader are no failures. Links to files are read under their own name,
    unless they lead out of `root`; links to directories are not followed, so no loop is either.
    """
    try:
        is_directory = stat.S_ISDIR(root.stat().st_mode)
    except OSError as error:
        yield _unreadable(name, error, is_link=root.is_symlink())
        return
    if not is_directory:
        yield _explicit(root, name, max_bytes)
        return
    real_root = os.path.realpath(root)
    pending = [(str(root), name)]
    while pending:
        directory, directory_name = pending.pop()
        try:
            with os.scandir(directory) as entries:
                listed = sorted((one for one in entries if not one.name.startswith(".")), key=lambda one: one.name)
        except OSError as error:
            yield _unreadable(directory_name, error)
            continue
        below = []
        for entry in listed:
            source = f"{directory_name.rstrip('/')}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                below.append((entry.path, source))
            elif found := _entry(entry, source, real_root, max_bytes):
                yield found
        pending += reversed(below)


@contextmanager
def opened(path: Path, max_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    """A file to read, and its size. InvalidInput when it cannot be read, is too large, or changes meanwhile."""
    try:
        # A FIFO would be waited for; this returns at once, and O_NONBLOCK changes nothing for regular files.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise InvalidInput(_because(error)) from None
    with os.fdopen(handle, "rb") as stream:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise InvalidInput(_NOT_REGULAR)
        if before.st_size > max_bytes:
            raise InvalidInput(too_large(max_bytes))
        try:
            yield stream, before.st_size
        except OSError as error:
            raise InvalidInput(_because(error)) from None
        after = os.fstat(handle)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise InvalidInput("changed while it was read; ingest it again")


def read(path: Path, max_bytes: int) -> bytes:
    """The content of a file; InvalidInput as from `opened`."""
    with opened(path, max_bytes) as (stream, size):
        return stream.read(size)


def pieces(path: Path, max_bytes: int) -> Iterator[bytes]:
    """The content, with as much memory for a large file as for a small one; InvalidInput as from `opened`."""
    with opened(path, max_bytes) as (stream, size):
        for start in range(0, size, _PIECE):
            yield stream.read(min(_PIECE, size - start))


def gone_below(
    documents: Iterable[Document], roots: Iterable[Path], refused: AbstractSet[PurePath]
) -> tuple[list[Document], Counter[PurePath]]:
    """The documents whose files are surely gone, from below the roots; and how many stay below what was refused.

    What lies elsewhere stays, and what is still there but was not read. Below a directory that could not be looked
    into, or is not there itself, files only seem to be gone: a drive may be unplugged.
    """
    given = set(roots)
    gone: list[Document] = []
    kept: Counter[PurePath] = Counter()
    for document in documents:
        source = PurePath(document.source)
        if not source.is_absolute() or ".." in source.parts:
            continue
        if closed := refused & set(source.parents):
            kept.update(closed)
        elif not given.isdisjoint((source, *source.parents)) and _is_nowhere(source):
            gone.append(document)
    return gone, kept


def _is_nowhere(path: PurePath) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def too_large(max_bytes: int) -> str:
    return f"is larger than {max_bytes} bytes; split it, or raise edge.max_document_bytes"


def shown(source: str) -> str:
    """A name that a terminal, JSON and protobuf can take: what cannot be shown is escaped."""
    text = os.fsencode(source).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _entry(entry: os.DirEntry[str], source: str, real_root: str, max_bytes: int) -> Found | None:
    """What something in a directory is that is no directory; None for a link to one that is walked anyway."""
    leads_out = False
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        leads_out = os.path.commonpath((real_root, target)) != real_root
        if os.path.isdir(target):  # noqa: PTH112 - says no where Path.is_dir raises
            return Refused(shown(source), _LEADS_OUT) if leads_out else None
    if (kind := ending(source)) not in LOADERS:
        return Skipped(shown(source), kind)
    if leads_out:
        return Refused(shown(source), _LEADS_OUT)
    return _explicit(Path(entry.path), source, max_bytes)


def _explicit(path: Path, source: str, max_bytes: int) -> File | Refused:
    """What is asked for by its name is a file, or refused."""
    if shown(source) != source:
        return Refused(shown(source), "has a name with characters that cannot be shown, or are not UTF-8; rename it")
    if ending(source) not in LOADERS:
        return Refused(source, f"is of an unknown type; there are loaders for {', '.join(LOADERS)}")
    try:
        status = path.stat()
    except OSError as error:
        return _unreadable(source, error, is_link=path.is_symlink())
    if not stat.S_ISREG(status.st_mode):
        return Refused(source, _NOT_REGULAR)
    if status.st_size > max_bytes:
        return Refused(source, too_large(max_bytes))
    return File(path, source, status.st_size)


def _unreadable(source: str, error: OSError, *, is_link: bool = False) -> Refused:
    if is_link and isinstance(error, FileNotFoundError):
        return Refused(shown(source), "is a link to something that is not there; remove it, or mend it")
    return Refused(shown(source), _because(error))


def _because(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "is not there; correct the path"
    return f"cannot be read: {error.strerror}"


def _path_of_url(url: str) -> str:
    """Of file:///PATH and file://localhost/PATH, percent-decoded."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidInput("is not a URL that can be read; give the path of the file") from None
    if parts.scheme.lower() != "file":
        raise InvalidInput(f"is not a file of this device; download what {parts.scheme}:// has, and give that file")
    if parts.netloc.lower() not in {"", "localhost"}:
        raise InvalidInput("is on another machine; copy it here, and give file:///PATH or the path")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise InvalidInput("has a `?` or `#`, which a file URL writes as %3F and %23; give the path")
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if "\0" in path or not path.startswith("/"):
        raise InvalidInput("is not a URL of a file; give file:///PATH or the path")
    return path
