"""What a loader makes of a file: a title, and paragraphs under their headings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge.ingest.cleaning import Repetitions, clean, one_line

_GROUP = 500  # characters of lines that make a paragraph: some of them fit into a passage, and none is cut


@dataclass(frozen=True, slots=True)
class Section:
    """Paragraphs, and the headings above them, outermost first."""

    headings: tuple[str, ...]
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """`dropped` counts what was left out as repetition or as furniture of the page: paragraphs, lines, elements."""

    title: str
    sections: tuple[Section, ...]
    dropped: int = 0


class Outline:
    """Collects paragraphs under the headings that precede them."""

    def __init__(self) -> None:
        self.title = ""
        self.dropped = 0
        self._path: list[tuple[int, str]] = []
        self._paragraphs: list[str] = []
        self._lines: list[str] = []
        self._sections: list[Section] = []
        self._is_bare = False  # nothing has followed the last heading
        self._repetitions = Repetitions()

    def heading(self, level: int, text: str) -> None:
        text = one_line(text)
        if not text:
            return
        self._close(level)
        self.title = self.title or text
        self._path = [*self._above(level), (level, text)]
        self._is_bare = True

    def leave(self, level: int) -> None:
        """What follows stands below no heading of this level, or a deeper one."""
        if len(above := self._above(level)) < len(self._path):
            self._close(level)
            self._path = above

    def paragraph(self, text: str) -> None:
        """Prose. A longer paragraph that has been here before is left out."""
        self._end_lines()
        if not (text := clean(text)):
            return
        if self._repetitions.has(text, tuple(heading for _, heading in self._path)):
            self.dropped += 1
        else:
            self._paragraphs.append(text)
            self._is_bare = False

    def line(self, text: str) -> None:
        """An item of a list or a row of a table. Consecutive ones make paragraphs; they are data, so all are kept."""
        if not (text := one_line(text)):
            return
        if sum(map(len, self._lines)) + len(text) > _GROUP:
            self._end_lines()
        self._lines.append(text)
        self._is_bare = False

    def record(self, lines: Iterable[str]) -> None:
        """Lines that belong together, and to nothing else: a paragraph of their own."""
        self._end_lines()
        for line in lines:
            self.line(line)
        self._end_lines()

    def finish(self) -> Loaded:
        self._close(level=0)
        return Loaded(self.title, tuple(self._sections), self.dropped)

    def _above(self, level: int) -> list[tuple[int, str]]:
        return [heading for heading in self._path if heading[0] < level]

    def _end_lines(self) -> None:
        if self._lines:
            self._paragraphs.append("\n".join(self._lines))
            self._lines = []

    def _close(self, level: int) -> None:
        self._end_lines()
        headings = tuple(text for _, text in self._path)
        if self._paragraphs:
            self._sections.append(Section(headings, tuple(self._paragraphs)))
        elif self._is_bare and self._path[-1][0] >= level:
            # Nothing stands below this heading, so it is itself what the document says here.
            self._sections.append(Section(headings[:-1], headings[-1:]))
        self._paragraphs, self._is_bare = [], False
