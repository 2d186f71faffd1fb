"""A TCP connection that can fail in every way that networks do, on loopback; it keeps every byte that went through it.

`async with Wire(address) as wire:` listens at `wire.address` and passes on to `address`. What is set with
`wire.breaks(...)` befalls the connections there are as well as new ones.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

Way = Literal["clean", "refused", "black hole", "half-open", "drip", "cut", "reset", "slow", "garbage"]
"""How it fails. A `black hole` accepts and takes everything, and passes nothing on; `half-open` is a peer that has
gone without a word (what is sent still arrives there, nothing comes back); `drip` brings a byte a second; `cut` ends a
connection in order, `reset` without; `slow` takes 50 ms a piece; `garbage` is an answer of another protocol."""
Moment = Literal["at once", "before the first token", "after the first token"]

_PIECE = 65536
_GARBAGE = b"SSH-2.0-OpenSSH_9.2\r\n" * 4
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST


@dataclass(frozen=True, slots=True)
class Passed:
    """Some bytes, and when they came, by time.time(). `up` is towards the server."""

    at: float
    connection: int
    up: bool
    data: bytes


class Wire:
    """`first` are bytes of the first token, by which its moment is known in what comes down.

    What passes is kept, unless `is_kept` is false; pieces with `forbidden` bytes on their way up are counted anyway.
    """

    def __init__(self, address: str, first: bytes = b"\0never") -> None:
        host, _, port = address.rpartition(":")
        self._target = host, int(port)
        self._first = first
        self._way: Way = "clean"
        self._moment: Moment = "at once"
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.is_kept = True
        self.forbidden = b"\0never"
        self.trespasses = 0
        self.passed: list[Passed] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop_listening()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for writer in [*self._writers]:
            await self._close(writer)  # of a task that was cancelled before it began

    async def breaks(self, way: Way, moment: Moment = "at once") -> None:
        """From now on, or from that moment of each answer on. Connections that there are feel it, too."""
        self._way, self._moment = way, moment
        if moment != "at once":
            return
        if way == "refused":
            await self._stop_listening()
        if way in {"refused", "cut", "reset"}:
            for writer in [*self._writers]:
                _end(writer, reset=way != "cut")

    async def mend(self) -> None:
        self._way, self._moment = "clean", "at once"
        await self._listen()

    def sent(self) -> bytes:
        """All that went up, connection by connection, whether or not it was passed on."""
        up = sorted((one for one in self.passed if one.up), key=lambda one: one.connection)
        return b"".join(one.data for one in up)

    def first_seen(self, words: bytes) -> float | None:
        """When these words first came by on their way up, by time.time(); None if never."""
        so_far: dict[int, bytes] = {}
        for one in self.passed:
            if one.up:
                tail = so_far.get(one.connection, b"")[-len(words) :] + one.data
                if words in tail:
                    return one.at
                so_far[one.connection] = tail
        return None

    async def _listen(self) -> None:
        if self._server is None:
            listener = socket.create_server(("127.0.0.1", self._port))
            self._port = listener.getsockname()[1]
            self._server = await asyncio.start_server(self._connected, sock=listener)

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.create_task(self._serve(self.connections, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            if self._way in {"cut", "reset"} and self._moment == "at once":
                _end(writer, reset=self._way == "reset")
                return
            back, far = await asyncio.open_connection(*self._target)
            self._writers.add(far)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(number, reader, far, up=True))
                group.create_task(self._pump(number, back, writer, up=False))
        except OSError:
            pass
        except ExceptionGroup as failures:
            if failures.split(OSError)[1] is not None:
                raise
        finally:
            for one in (writer, far):
                if one is not None:
                    await self._close(one)

    async def _close(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _pump(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        """Ends the other side as this one ended: what is half-closed stays so."""
        down = before = b""
        while data := await reader.read(_PIECE):
            if self.is_kept:
                self.passed.append(Passed(time.time(), number, up, data))
            self.trespasses += up and self.forbidden in before + data
            before = data[-len(self.forbidden) :]
            down = b"" if up else down[-len(self._first) :] + data
            if self._moment == "before the first token" and not up and self._first in down:
                self._moment = "at once"
            way = self._way if self._moment == "at once" else "clean"
            await self._pass(way, data, writer, up=up)
            if self._moment == "after the first token" and not up and self._first in down:
                self._moment = "at once"
                if self._way in {"cut", "reset"}:
                    await asyncio.sleep(0.02)  # for the token to be read: a reset takes along what was not
                    _end(writer, reset=self._way == "reset")
        if writer.can_write_eof() and self._way not in {"black hole", "half-open"}:
            with suppress(OSError):
                writer.write_eof()

    async def _pass(self, way: Way, data: bytes, writer: asyncio.StreamWriter, *, up: bool) -> None:
        match way:
            case "black hole":
                return
            case "half-open" if not up:
                return
            case "garbage":
                if up:
                    return
                data = _GARBAGE
            case "cut" | "reset":
                _end(writer, reset=way == "reset")
                return
            case "slow":
                await asyncio.sleep(0.05)
            case "drip" if not up:
                for byte in data:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(1)
                return
        writer.write(data)
        await writer.drain()


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        connection = writer.get_extra_info("socket")
        with suppress(OSError, AttributeError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
    else:
        writer.close()
