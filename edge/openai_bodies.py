"""How much of a server's answer is read at all. It brings the HTTP library, so it is imported where a client opens."""

from __future__ import annotations

from collections.abc import AsyncIterator

from httpx2 import AsyncByteStream, RequestError, Response

MOST_BYTES = 32 * 2**20  # of an answer
MOST_BYTES_OF_A_REFUSAL = 2**16


async def bound(response: Response) -> None:
    """A hook: what comes after the bound is not read, so that an answer or an event without end fills no memory.

    What a refusal says is read as far as it comes, because its status counts also where its text breaks off.
    """
    if not isinstance(response.stream, AsyncByteStream):
        return
    if response.is_success:
        response.stream = _Bounded(response.stream, MOST_BYTES, is_refusal=False)
    else:
        response.headers.pop("content-encoding", None)  # or the library would raise for what is not of that encoding
        response.stream = _Bounded(response.stream, MOST_BYTES_OF_A_REFUSAL, is_refusal=True)


class _Bounded(AsyncByteStream):
    def __init__(self, stream: AsyncByteStream, most: int, *, is_refusal: bool) -> None:
        self._stream = stream
        self._left = most
        self._is_refusal = is_refusal

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                self._left -= len(part)
                yield part
                if self._left < 0:
                    return
        except RequestError:
            if not self._is_refusal:
                raise

    async def aclose(self) -> None:
        await self._stream.aclose()
