"""Whether an audit log is whole: `edgewise audit verify`.

The chain shows rows that were changed, taken out, put in or put elsewhere. That rows are missing at its end a chain
cannot show by itself: the head beside it says which row was the last one. Who may write into the data directory can
write both anew, so a head that was noted elsewhere (`edgewise status` prints it) proves more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from edgewise.errors import InvalidInput
from edgewise.types import Value
from router.egress.rows import HEAD, NOTHING_BEFORE, Row, read_head, row_of, segments

_MOST_PROBLEMS = 20


class Verified(Value):
    """`intact` if there are no problems. `tries` are counted by destination, `ends` by what came of tries.

    `open` are tries of which nothing more is known: under way, or their end was lost with the process. `torn` is the
    size of a last row that broke off, which is no problem: nothing was sent after it. `more_problems` were left out.
    """

    rows: int = 0
    first: int | None = None
    last: int | None = None
    head: str = ""
    tries: dict[str, int] = Field(default_factory=dict)
    ends: dict[str, int] = Field(default_factory=dict)
    open: int = 0
    torn: int = 0
    problems: tuple[str, ...] = ()
    more_problems: int = 0

    @property
    def intact(self) -> bool:
        return not self.problems


class _Walk:
    """Along the chain, from its first row on."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.rows = 0
        self.first: int | None = None
        self.seq = 0
        self.hash: str | None = NOTHING_BEFORE
        self.tries: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.noted: dict[int, str] = {}
        self._open: set[int] = set()

    @property
    def open(self) -> int:
        return len(self._open)

    def step(self, row: Row, where: str) -> None:
        if self.first is None:
            self.first = row.seq
        if row.seq != self.seq + 1:
            self.problems.append(f"{where}: row {row.seq} comes after row {self.seq}: {_between(self.seq, row.seq)}")
        elif self.hash not in {None, row.previous}:
            self.problems.append(f"{where}: row {row.seq} was not written after the row that stands before it")
        self.rows += 1
        self.seq, self.hash = row.seq, row.hash
        self._count(row)

    def lost(self, where: str, reason: str) -> None:
        """A line that is no row; the next one is taken to follow it."""
        self.problems.append(f"{where}: {reason}")
        self.seq += 1
        self.hash = None

    def _count(self, row: Row) -> None:
        if row.event == "try":
            self.tries[row.destination] += 1
            self._open.add(row.seq)
        elif row.event == "end":
            self.ends[row.outcome or ""] += 1
            self._open.discard(row.of or 0)


def verified(data_dir: Path, *, noted: tuple[int, str] | None = None) -> Verified:
    """What a log says, and what is wrong with it. `noted` is a head of before: the log must have that row.

    A log may be written meanwhile.
    """
    head = read_head(data_dir)  # before the rows, which may grow
    heads = [each for each in (head, noted) if each is not None]
    wanted = {seq for seq, _ in heads}
    walk, torn, found = _Walk(), 0, {0: NOTHING_BEFORE}
    for line, where in _lines(data_dir):
        if torn:
            walk.lost(where, "it comes after a line that broke off")
        if not line.endswith(b"\n"):
            torn = len(line)
            continue
        try:
            row = row_of(line)
        except ValueError as error:
            walk.lost(where, f"it was changed: {error}")
            continue
        walk.step(row, where)
        if row.seq in wanted:
            found[row.seq] = row.hash
    if walk.rows and head is None:
        walk.problems.append(f"{HEAD} is not there, or is no head: nobody knows how many rows are missing at the end")
    for seq, digest in heads:
        if seq > walk.seq:
            walk.problems.append(f"it ends with row {walk.seq}, but row {seq} was written: the last rows are missing")
        elif found.get(seq) != digest:
            walk.problems.append(f"row {seq} is not the one that was written")
    return Verified(
        rows=walk.rows,
        first=walk.first,
        last=walk.seq if walk.rows else None,
        head=walk.hash or "" if walk.rows else "",
        tries=dict(sorted(walk.tries.items())),
        ends=dict(sorted(walk.ends.items())),
        open=walk.open,
        torn=torn,
        problems=tuple(walk.problems[:_MOST_PROBLEMS]),
        more_problems=max(0, len(walk.problems) - _MOST_PROBLEMS),
    )


def parse_head(text: str) -> tuple[int, str]:
    """`NUMBER:HASH`, as `status` prints a head."""
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) < 20) or len(digest) != len(NOTHING_BEFORE):
        raise InvalidInput(f"`{text[:90]}` is no head; write NUMBER:HASH, as `edgewise status` prints it")
    return int(number), digest


def _lines(data_dir: Path) -> Iterator[tuple[bytes, str]]:
    for path in segments(data_dir):
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield line, f"line {number} of {path.name}"


def _between(before: int, after: int) -> str:
    if after > before + 1:
        missing = f"row {before + 1} is" if after == before + 2 else f"rows {before + 1} to {after - 1} are"
        return f"{missing} missing"
    return "rows stand twice or in another order"
