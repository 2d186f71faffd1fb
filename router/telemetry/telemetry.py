"""Telemetry of answers and grades to an OpenTelemetry collector, on a thread of its own.

What is observed becomes spans at once, content-free unless the settings allow more, and waits in a bounded queue. A
collector that is down, slow or full costs deliveries, never a request: what does not fit the queue is dropped and
counted, and each trouble is logged once.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import threading
from collections.abc import Callable

from edgewise.errors import InvalidInput
from edgewise.keys import new_id
from edgewise.types import Grade, Record
from router.egress.boundary import Boundary
from router.egress.outlet import Outlet, Undelivered
from router.meter import SideCall
from router.telemetry import names
from router.telemetry.config import TelemetrySettings
from router.telemetry.lanes import Measured, grade_lane, trace_lane
from router.telemetry.spans import event_of, is_sampled, measurements_of, spans_of

log = logging.getLogger(__name__)


class Telemetry:
    """An observer. Its thread runs from `open` to `close`."""

    def __init__(self, settings: TelemetrySettings, outlet: Outlet) -> None:
        self._settings = settings
        self._outlet = outlet
        who = {
            names.SERVICE_NAME: settings.service_name,
            names.SERVICE_VERSION: importlib.metadata.version("edgewise"),
            names.SERVICE_INSTANCE: new_id(),
        }
        self.traces = trace_lane(who, settings.queue)
        self.grades = grade_lane(who, settings.queue)
        self._measured = Measured(who)
        self._troubles: set[str] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    @staticmethod
    def open(settings: TelemetrySettings, boundary: Boundary) -> Telemetry:
        """InvalidInput or NotReady says what is wrong with the settings."""
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            raise InvalidInput(
                "OTEL_SDK_DISABLED is true in the environment, and telemetry.otlp_endpoint is set; unset one of the two"
            )
        telemetry = Telemetry(settings, Outlet.of(settings, boundary))
        telemetry._thread.start()
        return telemetry

    def __str__(self) -> str:
        what = "content of public answers included" if self._settings.content else "no content"
        return f"{self._outlet.endpoint} ({what})"

    def observe(self, record: Record, calls: tuple[SideCall, ...]) -> None:
        for measurement in measurements_of(record, calls):
            self._measured.add(measurement)
        if is_sampled(record.record_id, self._settings.sample_ratio):
            self.traces.put(spans_of(record, calls, content=self._settings.content))

    def graded(self, record: Record, grade: Grade) -> None:
        self.grades.put(event_of(record, grade))

    def close(self) -> None:
        """Delivers what waits, for at most `close_s`; what is left then is dropped, and said."""
        self._closing.set()
        self._thread.join(self._settings.close_s)
        if left := self.traces.give_up() + self.grades.give_up():
            log.warning("telemetry: %d answers and grades were not delivered before the end", left)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._closing.wait(self._settings.interval_s)
            self._attempt("traces", lambda: self.traces.deliver(self._outlet))
            self._attempt("grades", lambda: self.grades.deliver(self._outlet))
            self._attempt("metrics", lambda: self._measured.deliver(self._outlet))

    def _attempt(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Undelivered as error:
            self._log_once(what, f"{self._outlet.endpoint} does not take {what} ({error})")
        except Exception as error:  # noqa: BLE001 - the thread goes on; the text of an error may have content in it
            self._log_once(what, f"{what} cannot be sent ({type(error).__name__})")
        else:
            if what in self._troubles:
                self._troubles.discard(what)
                log.info("telemetry: %s are delivered again", what)

    def _log_once(self, what: str, trouble: str) -> None:
        if what not in self._troubles:
            self._troubles.add(what)
            log.warning("telemetry: %s; requests go on, and what does not fit the queue is dropped", trouble)
