"""Telemetry in trouble: the collector is down, hangs, refuses, or the settings are wrong. Requests do not notice."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from edgewise.errors import InvalidInput, NotReady
from edgewise.settings import load
from edgewise.types import Grade, Record
from router import wiring
from router.config import RouterSettings
from router.egress.outlet import Outlet
from router.meter import SideCall
from router.observer import Observers
from router.telemetry.config import TelemetrySettings
from router.telemetry.lanes import grade_lane
from router.telemetry.telemetry import Telemetry
from tests.boundaries import ALLOWING
from tests.collectors import Collector, collecting
from tests.routers import a_cloud, an_edge, place, question, until

NOWHERE = "http://127.0.0.1:9"
"""The discard port: nobody listens there."""


def opened(url: str, **settings: Any) -> Telemetry:
    return Telemetry.open(TelemetrySettings(otlp_endpoint=url, interval_s=0.05, **settings), ALLOWING)


def ask(directory: Path, telemetry: Telemetry, times: int = 3) -> tuple[str, ...]:
    """Answers of a router that telemetry watches."""

    async def main() -> tuple[str, ...]:
        async with place(directory, an_edge(), a_cloud(), observers=(telemetry,)) as there:
            return tuple([(await there.ask(question("edge_only"))).text for _ in range(times)])

    return asyncio.run(main())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_collector_that_is_down_is_logged_once_and_every_answer_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = opened(NOWHERE)
    assert ask(tmp_path, telemetry) == ("The ferry sails at nine",) * 3
    asyncio.run(until(lambda: len(warnings(caplog)) == 2))  # traces, metrics
    assert ask(tmp_path, telemetry) == ("The ferry sails at nine",) * 3
    telemetry.close()
    assert telemetry.traces.dropped == 6
    assert telemetry.traces.sent == 0
    assert [warning for warning in warnings(caplog) if "does not take traces" in warning] != []
    assert len(warnings(caplog)) == 3  # the third is of what was left at the end


@pytest.mark.parametrize("status", [400, 404, 500])
def test_what_a_collector_refuses_for_good_is_dropped(tmp_path: Path, status: int) -> None:
    with collecting() as collector:
        collector.status = status
        telemetry = opened(collector.url)
        assert len(ask(tmp_path, telemetry)) == 3
        asyncio.run(until(lambda: telemetry.traces.dropped == 3))
        telemetry.close()
    assert telemetry.traces.sent == 0


@pytest.mark.parametrize("status", [429, 503])
def test_what_a_collector_cannot_take_now_it_gets_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.INFO)
    with collecting() as collector:
        collector.status = status
        telemetry = opened(collector.url)
        ask(tmp_path, telemetry)
        asyncio.run(until(lambda: any(str(status) in text for text in warnings(caplog))))
        collector.status = 200
        asyncio.run(until(lambda: telemetry.traces.sent == 3))
        telemetry.close()
    assert len({span.span_id for span in collector.spans}) == len(collector.spans) == 6
    assert telemetry.traces.dropped == 0
    assert "telemetry: traces are delivered again" in [record.message for record in caplog.records]


def test_a_collector_that_hangs_holds_nobody_up_and_closing_ends(tmp_path: Path) -> None:
    with collecting() as collector:
        collector.stuck = True
        telemetry = opened(collector.url, close_s=0.1, timeout_s=60)
        assert len(ask(tmp_path, telemetry)) == 3
        telemetry.close()  # the timeout of the test is longer than that of the collector's thread
        assert telemetry.traces.dropped == 3
        collector.released.set()


def test_a_full_queue_drops_what_comes_and_counts_it(tmp_path: Path) -> None:
    telemetry = Telemetry.open(TelemetrySettings(otlp_endpoint=NOWHERE, interval_s=600, queue=2), ALLOWING)
    assert len(ask(tmp_path, telemetry, 5)) == 5
    assert telemetry.traces.dropped == 3
    telemetry.close()
    assert telemetry.traces.dropped == 5


def test_what_a_collector_takes_in_part_is_counted(tmp_path: Path) -> None:
    with collecting() as collector:
        collector.refuses = 1
        telemetry = opened(collector.url)
        ask(tmp_path, telemetry, 1)
        telemetry.close()
    assert (telemetry.traces.sent, telemetry.traces.dropped) == (0, 1)


def test_a_collector_that_answers_in_words_has_taken_it(tmp_path: Path) -> None:
    with collecting() as collector:
        collector.says = b"thank you"
        telemetry = opened(collector.url)
        ask(tmp_path, telemetry)
        telemetry.close()
    assert (telemetry.traces.sent, telemetry.traces.dropped) == (3, 0)


def test_much_is_delivered_in_pieces_and_too_much_is_dropped() -> None:
    lane = grade_lane({"service.name": "s"}, 100)
    grade = LogRecord(body=AnyValue(string_value="x" * 3_000_000))
    with collecting() as collector:
        for _ in range(25):
            lane.put(grade)
        assert lane.dropped == 3  # 64 MiB hold 22 of them
        lane.deliver(Outlet.of(TelemetrySettings(otlp_endpoint=collector.url), ALLOWING))
        assert len(collector.bodies("/v1/logs")) == 22
        lane.put(grade)
    assert (lane.sent, lane.dropped) == (22, 3)


def test_an_observer_that_fails_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    class Broken:
        def observe(self, record: Record, calls: tuple[SideCall, ...]) -> None:
            raise ValueError("broken")

        def graded(self, record: Record, grade: Grade) -> None:
            raise ValueError("broken")

    class Well:
        def observe(self, record: Record, calls: tuple[SideCall, ...]) -> None:
            told.append(record.record_id)

        def graded(self, record: Record, grade: Grade) -> None:
            told.append(grade.grader)

    observers = Observers((Broken(), Well()))
    record = Record(record_id="one")
    observers.observe(record, ())
    observers.graded(record, Grade(record_id="one", grader="zoe", score=1))
    assert told == ["one", "zoe"]
    assert "Broken failed" in warnings(caplog)[0]


# --- the environment and the settings ---------------------------------------------------------------------------------


def test_no_variable_of_the_environment_moves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as elsewhere, collecting() as collector:
        for signal in ("", "_TRACES", "_METRICS", "_LOGS"):
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP{signal}_ENDPOINT", elsewhere.url)
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP{signal}_HEADERS", "api-key=of-somebody-else")
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, elsewhere.url)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "user.name=zoe")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "zoes-laptop")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
        telemetry = opened(collector.url)
        ask(tmp_path, telemetry)
        telemetry.close()
    assert elsewhere.requests == []
    assert len(collector.spans) == 6
    assert "gen_ai.invoke_agent.duration" in collector.metrics
    for foreign in (b"somebody", b"zoe"):
        assert foreign not in collector.everything


def test_two_opposite_wishes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with pytest.raises(InvalidInput, match="OTEL_SDK_DISABLED"):
        opened(NOWHERE)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"otlp_endpoint": "127.0.0.1:4318"}, "must be an http:// or https:// URL"),
        ({"otlp_endpoint": "grpc://127.0.0.1:4317"}, "must be an http:// or https:// URL"),
        ({"otlp_endpoint": "http://127.0.0.1:0"}, "must be an http:// or https:// URL"),
        ({"otlp_endpoint": "http://127.0.0.1:4318?a=b"}, "without ? and #"),
        ({"otlp_endpoint": "http://127.0.0.1:4318/v1/traces"}, "base URL"),
        ({"otlp_endpoint": "https://zoe:secret@collector.example"}, "headers_file"),
        ({"otlp_endpoint": "http://collector.example:4318", "headers_file": "h"}, "use https://"),
        ({"interval_s": "0"}, "greater than"),
        ({"content": "perhaps"}, "boolean"),
        ({"endpoint": "http://127.0.0.1:4318"}, "telemetry.endpoint is not a setting"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refused:
        load(TelemetrySettings, settings)
    assert says in refused.value.message
    assert "secret" not in refused.value.message.replace("headers_file holds secrets", "")


def test_headers_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("api-key: 4711\nX-Team: harbour: north\n")
    with collecting() as collector:
        telemetry = opened(collector.url, headers_file=file)
        ask(tmp_path, telemetry, 1)
        telemetry.close()
    for _, headers, _ in collector.requests:
        assert headers | {"api-key": "4711", "X-Team": "harbour: north"} == headers
    assert "4711" not in repr(Outlet.of(TelemetrySettings(otlp_endpoint=collector.url, headers_file=file), ALLOWING))


@pytest.mark.parametrize("content", ["", "sesame", "api-key: ünsafe", "bad name: 1", "a: b\nc: \x07"])
def test_a_bad_file_of_headers_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "headers"
    file.write_text(content)
    with pytest.raises(NotReady, match=r"telemetry\.headers_file") as refused:
        opened(NOWHERE, headers_file=file)
    assert not content or content not in refused.value.message


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bad_file_of_certificates_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NotReady, match=r"telemetry\.ca_file"):
        opened("https://127.0.0.1:4318", ca_file=file)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "router.telemetry.telemetry", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    for name in [name for name in sys.modules if name.startswith(("opentelemetry.sdk.", "router.telemetry.lanes"))]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(NotReady, match=r"edgewise\[telemetry\]"):
        wiring._telemetry(TelemetrySettings(otlp_endpoint=NOWHERE), ALLOWING)


def test_off_imports_nothing_of_opentelemetry() -> None:
    program = """
    import sys
    from router import daemon, http, server, wiring
    from router.egress import Boundary, Policy
    from router.telemetry.config import TelemetrySettings
    boundary = Boundary.of_recordings(Policy("allow"))
    assert wiring._telemetry(TelemetrySettings(), boundary) is None
    found = sorted(name for name in sys.modules if name.startswith("opentelemetry"))
    assert not found, found
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)


def test_what_the_daemon_starts_is_watched(tmp_path: Path) -> None:
    """Through the real wiring, without an edge: what is on the way to the collector is in the metrics."""

    async def main(collector: Collector) -> str:
        chosen = wiring.Settings.load()
        with_telemetry = TelemetrySettings(otlp_endpoint=collector.url)
        settings = wiring.Settings(chosen.edge, chosen.cloud, RouterSettings(), chosen.privacy, with_telemetry)
        async with wiring.open_stack(settings, tmp_path, records_only=True) as stack:
            assert str(stack.telemetry) == f"{collector.url} (no content)"
            return stack.router.metrics.text().decode()

    with collecting() as collector:
        text = asyncio.run(main(collector))
    for signal in ("traces", "grades"):
        assert f'edgewise_telemetry_sent_total{{signal="{signal}"}} 0.0' in text
        assert f'edgewise_telemetry_dropped_total{{signal="{signal}"}} 0.0' in text
    assert "edgewise_edge_restarts_total 0.0" in text
