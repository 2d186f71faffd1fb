"""From the bytes of tokens to text that may be shown: no half characters, no half stop strings."""

from __future__ import annotations

import codecs

from edgewise.types import Chunk


class TokenStream:
    """Takes tokens as they are drawn, gives chunks as they are safe. A token's numbers come with its text or later."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._logprobs: list[float] = []
        self._entropies: list[float] = []
        self._margins: list[float] = []
        self.stopped = False

    def push(self, piece: bytes, logprob: float, entropy: float, margin: float) -> Chunk | None:
        """What has become safe, if anything. After a stop string `stopped` is true, and nothing may be pushed."""
        self._logprobs.append(logprob)
        self._entropies.append(entropy)
        self._margins.append(margin)
        self._held += self._decoder.decode(piece)
        found = [at for at in map(self._held.find, self._stops) if at >= 0]
        if found:
            self.stopped = True
            self._held = self._held[: min(found)]
            return None
        ready = len(self._held) - self._half_stop()
        return self._release(ready) if ready else None

    def finish(self) -> Chunk | None:
        """The rest, if any. An incomplete character at the very end is no text and is left out."""
        return self._release(len(self._held)) if self._held or self._logprobs else None

    def _release(self, length: int) -> Chunk:
        chunk = Chunk.model_construct(
            text=self._held[:length],
            logprobs=tuple(self._logprobs),
            entropies=tuple(self._entropies),
            margins=tuple(self._margins),
        )
        self._held = self._held[length:]
        for numbers in (self._logprobs, self._entropies, self._margins):
            numbers.clear()
        return chunk

    def _half_stop(self) -> int:
        """The length of the longest end of the held text that a stop string begins with."""
        longest = max(map(len, self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0
