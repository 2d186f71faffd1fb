"""Which prompts the KV cache holds, so that what several of them begin with is evaluated once.

A prompt looks for the longest beginning that it shares with another: in a sequence that is idle or busy, or among the
states that were saved when their sequence was needed for something else. Saved states outlive the process in files.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edge.llama.native import Native, State, Tokens

log = logging.getLogger(__name__)

_WORTH_SAVING = 64
_WORTH_COPYING = 16
_WORTH_A_FILE = 256


class Space(NamedTuple):
    """Only prompts of one space share: those of one cache key, and of one adapter (by its digest)."""

    key: str = ""
    adapter: str = ""


_ALL = Space()


@dataclass(slots=True, eq=False)
class Slot:
    """A sequence of the KV cache. Of its `length` tokens those of the prompt may be shared.

    Generated ones may not: llama.cpp rounds a token that is evaluated alone in another way than one of several, and an
    answer must not depend on what came before. For the same reason a prompt always has two tokens left to evaluate.
    """

    sequence: int
    prompt: Tokens
    space: Space = _ALL
    length: int = 0
    used: float = 0.0

    @property
    def held(self) -> Tokens:
        return self.prompt[: self.length]


@dataclass(slots=True, eq=False)
class Saved:
    """A state in memory, or mapped from a file."""

    space: Space
    held: Tokens
    state: State
    used: float = field(default_factory=time.monotonic)
    checksum: int | None = None
    """Of what comes from a file, until it was compared."""

    def is_intact(self) -> bool:
        wanted, self.checksum = self.checksum, None
        return wanted is None or zlib.crc32(self.state.data) == wanted

    def write(self, file: Path, fingerprint: str) -> None:
        """One line of JSON, then the state."""
        head = {"fingerprint": fingerprint, "adapter": self.space.adapter, "tokens": self.held.tolist()}
        head |= {"bytes": self.state.nbytes, "crc32": zlib.crc32(self.state.data)}
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(json.dumps(head).encode() + b"\n")
            stream.write(self.state.tobytes())


class Prefixes:
    """Hands out the sequences of the KV cache. `max_bytes` bounds the saved states; the oldest go first."""

    def __init__(self, native: Native, sequences: int, max_bytes: int) -> None:
        import numpy as np

        self._native = native
        self._max_bytes = max_bytes
        self._slots = [Slot(sequence, np.empty(0, np.int32)) for sequence in range(sequences)]
        self._idle = list(self._slots)
        self._saved: list[Saved] = []

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def saved_bytes(self) -> int:
        return sum(saved.state.nbytes for saved in self._saved)

    def forget(self) -> None:
        """Take all sequences back, whatever is in them."""
        for slot in self._slots:
            slot.length, slot.used = 0, 0.0
        self._idle = list(self._slots)

    def drop(self) -> None:
        """What is kept of prompts that nobody is answering now: in idle sequences, and saved. Files are left alone."""
        self._saved.clear()
        for slot in self._idle:
            self._native.cut(slot.sequence, 0)
            slot.prompt, slot.length, slot.used = slot.prompt[:0], 0, 0.0

    def shared(self, prompt: Tokens, space: Space) -> int:
        """How many tokens of a prompt could be had now."""
        return self._nearest(prompt, space)[1]

    def take(self, prompt: Tokens, space: Space, reusable: int) -> Slot:
        """An idle sequence with as much of the prompt in it as can be had, but no more than `reusable` tokens.

        `Slot.length` says how much that is. There must be an idle one.
        """
        begins = prompt[: max(0, min(reusable, len(prompt) - 2))]
        source, shared = self._nearest(begins, space)
        slot = min(self._idle, key=lambda idle: (idle.used, idle.sequence))
        lost = len(source.held) - shared if source else 0
        if isinstance(source, Slot) and source in self._idle and lost < min(_WORTH_SAVING, shared):
            slot = source
        elif source is not slot:
            self._save(slot)
            own = _shared(begins, slot.held) if slot.space == space else 0
            if source is None or shared - own < _WORTH_COPYING:
                shared = own
            elif not self._copy(source, slot):
                shared = 0
        else:
            self._save(slot)
        self._idle.remove(slot)
        slot.length = self._native.cut(slot.sequence, shared)
        slot.prompt, slot.space = prompt, space
        return slot

    def borrow(self, count: int) -> list[Slot]:
        """Up to so many idle sequences, emptied, for a moment's use; none whose prompt would be lost."""
        idle = [slot for slot in self._idle if self._max_bytes or len(slot.held) < _WORTH_SAVING]
        slots = sorted(idle, key=lambda slot: slot.used)[:count]
        for slot in slots:
            self._save(slot)
            self._idle.remove(slot)
            slot.length = self._native.cut(slot.sequence, 0)
        return slots

    def give_back(self, slot: Slot) -> None:
        slot.used = time.monotonic() if slot.length else 0.0
        self._idle.append(slot)

    def write(self, directory: Path, fingerprint: str) -> None:
        """Keep what is worth it for the next start; only what was made without a cache key of its own.

        It is a cache: where it cannot be written, the next start evaluates again.
        """
        for slot in sorted(self._idle, key=lambda idle: idle.used):
            if not slot.space.key:
                self._save(slot)
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            before = list(directory.iterdir())
            for number, saved in enumerate(self._saved):
                if not saved.space.key and len(saved.held) >= _WORTH_A_FILE:
                    saved.write(directory / f"{time.time_ns()}-{number}.kv", fingerprint)
            for file in before:
                file.unlink()
        except OSError as error:
            log.warning("evaluated prompts cannot be kept in %s: %s", directory, error.strerror)

    def read(self, directory: Path, fingerprint: str) -> None:
        """Take up what `write` left, unless it was made by another model or build."""
        for saved in _files(directory, fingerprint):
            self._saved.append(saved)
        self._shrink()

    def _nearest(self, prompt: Tokens, space: Space) -> tuple[Slot | Saved | None, int]:
        best: Slot | Saved | None = None
        longest = 0
        sources: list[Slot | Saved] = [*self._slots, *self._saved]
        for source in sources:
            if source.space == space and (shared := _shared(prompt, source.held)) > longest:
                best, longest = source, shared
        if isinstance(best, Saved):
            best.used = time.monotonic()
        return best, longest

    def _copy(self, source: Slot | Saved, slot: Slot) -> bool:
        if isinstance(source, Slot):
            return self._native.restore(slot.sequence, self._native.save(source.sequence))
        if source.is_intact() and self._native.restore(slot.sequence, source.state):
            return True
        self._saved = [saved for saved in self._saved if saved is not source]
        return False

    def _save(self, slot: Slot) -> None:
        """Before a sequence is overwritten: its prompt may be asked for again."""
        held = slot.held
        if len(held) < _WORTH_SAVING or not self._max_bytes:
            return
        for saved in self._saved:
            if saved.space == slot.space and _shared(saved.held, held) == len(held):
                saved.used = max(saved.used, slot.used)
                return
        if self._native.cut(slot.sequence, len(held)) != len(held):
            slot.length = 0  # a recurrent state cannot be cut back
            return
        slot.length = len(held)
        state = self._native.save(slot.sequence)
        if state.nbytes > self._max_bytes:
            return  # nor should all others make room for it
        self._saved = [
            saved for saved in self._saved if saved.space != slot.space or _shared(saved.held, held) < len(saved.held)
        ]
        self._saved.append(Saved(slot.space, held.copy(), state, slot.used))
        self._shrink()

    def _shrink(self) -> None:
        self._saved.sort(key=lambda saved: saved.used)
        while self._saved and self.saved_bytes > self._max_bytes:
            self._saved.pop(0)


def _shared(one: Tokens, other: Tokens) -> int:
    """How many tokens two texts begin with alike."""
    length = min(len(one), len(other))
    different = one[:length] != other[:length]
    return int(different.argmax()) if different.any() else length


def _files(directory: Path, fingerprint: str) -> Iterator[Saved]:
    import numpy as np

    for file in sorted(directory.glob("*.kv")):
        try:
            with file.open("rb") as stream:
                line = stream.readline()
            head = json.loads(line)
            whole = file.stat().st_size == len(line) + head["bytes"]
            if whole and head["fingerprint"] == fingerprint:
                state = np.memmap(file, np.uint8, "r", offset=len(line))
                held = np.array(head["tokens"], np.int32)
                yield Saved(Space("", head["adapter"]), held, state, checksum=head["crc32"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue  # cut short by a crash, say; the next `write` sweeps it out
