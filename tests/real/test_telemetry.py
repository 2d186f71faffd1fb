"""Telemetry of a real daemon: said when it starts, delivered before it ends; its metrics want the token."""

from __future__ import annotations

import asyncio
import http.client
from pathlib import Path

from edgewise.types import Question
from tests.collectors import collecting, values
from tests.stack import Daemon, edgewise, up


async def answered(daemon: Daemon) -> str:
    """The id of the record of one answer."""
    async with daemon.client() as client:
        answer = await client.answer(Question(text="What is the capital of France?", mode="edge_only"))
    return answer.done.record_id


def scraped(daemon: Daemon, token: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(daemon.http.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_a_daemon_tells_its_collector_before_it_ends(tmp_path: Path) -> None:
    with collecting() as collector:
        # Longer than the test: what arrives was sent because the daemon ended.
        settings = {"EDGEWISE_TELEMETRY__OTLP_ENDPOINT": collector.url, "EDGEWISE_TELEMETRY__INTERVAL_S": "3600"}
        with up(tmp_path / "data", settings=settings) as daemon:
            assert f"telemetry: {collector.url} (no content)" in daemon.log.read_text()
            record_id = asyncio.run(answered(daemon))
            status, text = scraped(daemon, daemon.token)
            assert status == 200
            assert scraped(daemon, "sesame")[0] == 401
            assert collector.requests == []
            assert daemon.stop() == 0
        assert {span.trace_id.hex() for span in collector.spans} == {record_id}
        calls = [values(span.attributes) for span in collector.spans if span.parent_span_id]
        told = [(call["edgewise.side"], call["gen_ai.operation.name"]) for call in calls]
        assert told == [("edge", "chat"), ("edge", "embeddings")]
        assert b"France" not in collector.everything
    for series in (
        'edgewise_answers_total{author="edge",error="none",mode="edge_only"} 1.0',
        "edgewise_edge_restarts_total 0.0",
        'edgewise_telemetry_dropped_total{signal="traces"} 0.0',
    ):
        assert series in text


def test_a_bad_endpoint_is_refused_before_anything_starts(tmp_path: Path) -> None:
    place = tmp_path / "data"
    refused = edgewise("up", "--data-dir", place, settings={"EDGEWISE_TELEMETRY__OTLP_ENDPOINT": "collector:4317"})
    assert refused.returncode != 0
    assert "telemetry.otlp_endpoint" in refused.stderr
    assert "http://127.0.0.1:4318" in refused.stderr
    assert refused.stdout == ""
