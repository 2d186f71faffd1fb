"""What the gate keeps of answers for a while: bounded in number, in bytes and in time, and each somebody's."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_OVERHEAD = 700  # bytes of an entry besides its text


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    value: T
    caller: str
    size: int
    until: float


class Kept(Generic[T]):
    """The oldest goes first when it is full. What is larger than a quarter of it is not kept at all."""

    def __init__(
        self, *, entries: int, most_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most_entries = entries
        self._most_bytes = most_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._entries: dict[Hashable, _Entry[T]] = {}  # in the order in which they expire
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        return self._bytes

    def get(self, key: Hashable) -> T | None:
        self._expire()
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def put(self, key: Hashable, value: T, caller: str, size: int) -> None:
        self._expire()
        self._drop(key)
        size += _OVERHEAD
        if size > self._most_bytes // 4:
            return
        self._entries[key] = _Entry(value, caller, size, self._clock() + self._ttl_s)
        self._bytes += size
        while len(self._entries) > self._most_entries or self._bytes > self._most_bytes:
            self._drop(next(iter(self._entries)))

    def forget(self, caller: str) -> int:
        """Drops what a caller has brought in; of everybody if it has no name, for that is the owner. How many."""
        keys = [key for key, entry in self._entries.items() if not caller or entry.caller == caller]
        for key in keys:
            self._drop(key)
        return len(keys)

    def _expire(self) -> None:
        now = self._clock()
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.until > now:
                return
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        self._bytes -= entry.size if entry else 0
