"""llama.cpp's own server, built here or by xllamacpp, asked over loopback HTTP as its users do."""

from __future__ import annotations

import asyncio
import ctypes
import json
import re
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.bench.engine.contenders import messages
from tests.bench.engine.plan import Answer, Asked, Setup

_READY_S = 120.0
_CACHE_MIB = 128
"""Of prompts that lost their slot; as much as the edge engine keeps by default (`prefix_cache_mib`)."""


class LlamaServer:
    """`llama-server` with a slot for each stream, its prompt cache on as it is by default."""

    def __init__(self, setup: Setup, flash_attention: bool, program: str) -> None:
        self._setup = setup
        self._flash_attention = flash_attention
        self._program = program
        self._log = tempfile.NamedTemporaryFile(prefix="llama-server-", suffix=".log")  # noqa: SIM115 - see close
        self._port = _free_port()
        self.about = " ".join(self._options())
        self.kernels = ""

    def _options(self) -> list[str]:
        setup = self._setup
        options = {"-c": setup.context_tokens * setup.parallel, "-np": setup.parallel}
        options |= {"-t": setup.threads, "-tb": setup.threads, "-cram": _CACHE_MIB}
        words = [str(word) for pair in options.items() for word in pair]
        return [*words, "-fa", "on" if self._flash_attention else "off", "--no-kv-unified", "--offline"]

    def _command(self) -> list[str]:
        place = ["--host", "127.0.0.1", "--port", str(self._port)]
        return [self._program, "-m", self._setup.model, *place, *self._options()]

    async def open(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command(), stdin=asyncio.subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        try:
            async with asyncio.timeout(_READY_S):
                while not await self._is_ready():
                    if self._process.returncode is not None:
                        raise RuntimeError(f"the server ended: {self._said()[-500:]}")
                    await asyncio.sleep(0.02)
        except BaseException:
            await self.close()
            raise
        self.kernels = self._system_info()

    async def answer(self, asked: Asked, new_tokens: int) -> Answer:
        body = {
            "messages": messages(asked),
            "max_tokens": new_tokens,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        sent, arrivals, pieces = time.monotonic(), [], []
        usage: dict[str, int] = {}
        cached: int | None = None
        async for event in _events(self._port, "/v1/chat/completions", body):
            for choice in event["choices"]:
                if text := choice["delta"].get("content"):
                    arrivals.append(time.monotonic())
                    pieces.append(text)
            if counted := event.get("usage"):
                usage = counted
                cached = counted.get("prompt_tokens_details", {}).get("cached_tokens")
        return Answer(
            sent_s=sent,
            arrivals_s=tuple(arrivals),
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"],
            cached_tokens=cached,
            text="".join(pieces),
        )

    def processes(self) -> tuple[int, ...]:
        return (self._process.pid,)

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        self._log.close()

    async def _is_ready(self) -> bool:
        try:
            status, _, writer = await _request(self._port, "GET", "/health", b"")
        except OSError:
            return False
        writer.close()
        return status == 200

    def _system_info(self) -> str:
        """The server does not say it, so its library is asked."""
        library = ctypes.CDLL(str(Path(self._program).with_name("libllama.so")))
        library.llama_print_system_info.restype = ctypes.c_char_p
        return bytes(library.llama_print_system_info()).decode().strip()

    def _said(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")


class Xllamacpp(LlamaServer):
    """The same server inside the Python of `program`, which has the package xllamacpp."""

    def _command(self) -> list[str]:
        script = Path(__file__).with_name("xllamacpp_server.py")
        return [self._program, "-u", str(script), str(self._port), self._setup.model, *self._options()]

    def _system_info(self) -> str:
        found = re.search(r"^kernels: (.+)$", self._said(), re.MULTILINE)
        return found.group(1).strip() if found else ""


async def _events(port: int, path: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The events of an answer (text/event-stream). A library would cost the server a share of the processor."""
    status, reader, writer = await _request(port, "POST", path, json.dumps(body).encode())
    try:
        if status != 200:
            raise RuntimeError(f"the server refused a request ({status}): {(await reader.read(500))!r}")
        rest = b""
        while size := int(await reader.readline(), 16):
            rest += (await reader.readexactly(size + 2))[:-2]
            *lines, rest = rest.split(b"\n")
            for line in lines:
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    yield json.loads(line.removeprefix(b"data: "))
    finally:
        writer.close()


async def _request(
    port: int, method: str, path: str, body: bytes
) -> tuple[int, asyncio.StreamReader, asyncio.StreamWriter]:
    """Sends a request and reads the head of the reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    status = int((await reader.readline()).split()[1])
    while (await reader.readline()).strip():
        pass
    return status, reader, writer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
