"""Health, as gRPC's protocol for it has it: asked once, or watched by any number of callers."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

Context = grpc.aio.ServicerContext[Any, Any]
_Response = health_pb2.HealthCheckResponse


class Health:
    """The servicer of grpcio-health-checking forgets all who watch when one of them leaves, and waits for who does not
    read; here each hears of every change by itself.
    """

    def __init__(self) -> None:
        self._status: dict[str, int] = {"": _Response.SERVING}
        self._changed = asyncio.Event()
        self._is_ending = False

    def set(self, service: str, status: int) -> None:
        """Of a service; of none, of the server as a whole."""
        if not self._is_ending:
            self._status[service] = status
            self._tell()

    def end(self) -> None:
        """Nothing serves any more, whatever is said later."""
        self._is_ending = True
        self._status = dict.fromkeys(self._status, _Response.NOT_SERVING)
        self._tell()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        status = self._status.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return _Response(status=status)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        told: int | None = None
        while True:
            changed, status = self._changed, self._status.get(request.service, _Response.SERVICE_UNKNOWN)
            if status != told:
                await context.write(_Response(status=status))
                told = status
            await changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
