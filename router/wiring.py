"""Settings -> a running router with its two sides. The only place, with the command line, that knows both of them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.client import CloudClient, NoCloud
from cloud.config import CloudSettings, readable_server
from edge.client import EdgeClient
from edge.config import EdgeSettings
from edgewise import settings
from edgewise.errors import CloudUnavailable, EdgeUnavailable, EdgewiseError, NotReady
from edgewise.place import read_secret
from edgewise.types import Author, SideStatus
from router.apps import Apps
from router.arbiter.arbiter import ARBITER, Arbiter, Models
from router.child import Child
from router.compare.judge import Judge
from router.config import PrivacySettings, RouterSettings
from router.egress import AuditLog, Boundary, Gated, Policy
from router.egress.detectors import Structural
from router.experiments.live import Experiments
from router.forgetting import Forgetting
from router.log import Keep, Log, Place, place_in
from router.metrics import DROPPED, EDGE_RESTARTS, SENT, Metrics
from router.service import Router, edge_answers_for_itself
from router.telemetry.config import TelemetrySettings

if TYPE_CHECKING:
    from router.telemetry.telemetry import Telemetry

Ready = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Settings:
    edge: EdgeSettings
    cloud: CloudSettings
    router: RouterSettings
    privacy: PrivacySettings
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    @staticmethod
    def load(router_flags: Mapping[str, object] | None = None) -> Settings:
        return Settings(
            settings.load(EdgeSettings),
            settings.load(CloudSettings),
            settings.load(RouterSettings, router_flags),
            settings.load(PrivacySettings),
            settings.load(TelemetrySettings),
        )

    def apart(self) -> Settings:
        """For a directory of its own, such as a comparison's: records stay in it, and all of them."""
        return replace(self, router=self.router.apart)


@dataclass(frozen=True, slots=True)
class Stack:
    """A router that can answer, and the edge behind it, which can be asked once `edge_ready` returns."""

    router: Router
    edge: EdgeClient
    cloud: CloudClient | NoCloud
    edge_ready: Ready
    boundary: Boundary
    records: Place
    log: Log
    settings: Settings
    telemetry: Telemetry | None = None

    def judge(self, author: Author) -> Judge:
        """One side as a judge; the cloud sees no more of answers than of questions."""
        return Judge(author, Gated(self.cloud, self.boundary) if author == "cloud" else self.edge)


@asynccontextmanager
async def open_stack(
    chosen: Settings,
    data_dir: Path,
    *,
    embedded_cloud: bool = False,
    corpora: Sequence[Path] = (),
    records_only: bool = False,
) -> AsyncIterator[Stack]:
    """Starts what the settings ask for, and ends it again.

    An edge or a cloud with an `address` runs elsewhere. Otherwise the edge is a child process; so is the gateway if a
    backend is configured or `embedded_cloud` asks for the stand-in. Without any, there is no cloud. With `records_only`
    neither is started, and what would ask them finds nobody there.
    """
    async with AsyncExitStack() as stack:
        audit = AuditLog(data_dir)
        stack.push_async_callback(asyncio.to_thread, audit.close)
        boundary = Boundary(await _policy(chosen.privacy), audit, _who_gets_it(chosen.cloud, embedded=embedded_cloud))
        telemetry = _telemetry(chosen.telemetry, boundary)
        if telemetry is not None:
            stack.push_async_callback(asyncio.to_thread, telemetry.close)
        # Socket paths are limited to some 100 bytes, so they do not go into the data directory.
        sockets = Path(tempfile.mkdtemp(prefix="edgewise-"))
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        edge_child = None if chosen.edge.address else _edge_child(data_dir, sockets)
        cloud_child = _cloud_child(chosen.cloud, data_dir, sockets, corpora, embedded=embedded_cloud)
        children = [] if records_only else [child for child in (edge_child, cloud_child) if child is not None]
        for child in children:
            stack.push_async_callback(child.stop)
        await asyncio.gather(*(child.start() for child in children))

        edge = ChildEdge(_edge_address(sockets), edge_child) if edge_child else _edge_elsewhere(chosen.edge)
        stack.push_async_callback(edge.close)
        cloud = _cloud_client(chosen.cloud, sockets, started=cloud_child is not None)
        stack.push_async_callback(cloud.close)
        records = await Log.open(
            place_in(data_dir, chosen.router),
            boundary=boundary,
            backlog=data_dir / "backlog.jsonl",
            keep=Keep(chosen.router.keep_days, chosen.router.keep_records),
        )
        stack.push_async_callback(records.close)
        ready = _ready(edge_child, edge) if edge_child else edge_answers_for_itself
        arbiter = Arbiter(await asyncio.to_thread(Models.open, data_dir / ARBITER), chosen.router)
        experiments = await Experiments.open(data_dir / "experiments", records, boundary.policy)
        observers = () if telemetry is None else (telemetry,)
        router = Router(
            edge,
            cloud,
            records,
            boundary,
            chosen.router,
            arbiter=arbiter,
            experiments=experiments,
            edge_ready=ready,
            observers=observers,
        )
        stack.push_async_callback(router.close)
        _watch(router.metrics, edge_child, telemetry)
        yield Stack(router, edge, cloud, ready, boundary, records.place, records, chosen, telemetry)


def forgetting_of(stack: Stack, apps: Apps, data_dir: Path) -> Forgetting:
    """What forgets, and says what of this installation it cannot reach."""
    remarks = []
    if stack.settings.telemetry.otlp_endpoint:
        remarks.append(f"what telemetry has sent stays at {stack.settings.telemetry.otlp_endpoint}")
    if stack.records.file is None:
        remarks.append(f"{stack.records.name} was asked to delete; its own journals and backups are its operator's")

    async def answers() -> str:
        """Of the gateway's cache. What a provider keeps is its own affair."""
        try:
            await stack.cloud.forget_answers()
        except EdgewiseError as error:
            return f"answers that the cloud gateway has cached may stay: {error.message}"
        return ""

    return Forgetting(
        stack.log,
        stack.edge,
        stack.router.floor,
        stack.router.settled,
        stack.edge_ready,
        apps,
        data_dir,
        answers=answers,
        remarks=tuple(remarks),
    )


def _telemetry(chosen: TelemetrySettings, boundary: Boundary) -> Telemetry | None:
    """None where it is off: then nothing of OpenTelemetry is imported."""
    if not chosen.otlp_endpoint:
        return None
    try:
        from router.telemetry.telemetry import Telemetry
    except ImportError:
        needed = "telemetry.otlp_endpoint is set, which needs OpenTelemetry"
        raise NotReady(f"{needed}; install it with pip install 'edgewise[telemetry]'") from None
    return Telemetry.open(chosen, boundary)


def _watch(metrics: Metrics, edge: Child | None, telemetry: Telemetry | None) -> None:
    if edge is not None:
        metrics.watch(EDGE_RESTARTS, lambda: edge.restarts)
    if telemetry is not None:
        traces, grades = telemetry.traces, telemetry.grades
        metrics.watch(SENT, lambda: traces.sent, "traces")
        metrics.watch(SENT, lambda: grades.sent, "grades")
        metrics.watch(DROPPED, lambda: traces.dropped, "traces")
        metrics.watch(DROPPED, lambda: grades.dropped, "grades")


class ChildEdge(EdgeClient):
    """The edge node in our child process. Its status comes at once, also while it is down, and has its restarts."""

    def __init__(self, address: str, child: Child) -> None:
        super().__init__(
            address, down="the edge node has crashed and is being started again; ask again in a few seconds"
        )
        self._child = child

    async def status(self) -> SideStatus:
        try:
            status = await super().status()
        except EdgeUnavailable:
            status = SideStatus(ready=False)
        return status.model_copy(update={"restarts": self._child.restarts, "reason": self._child.reason})


def _edge_address(sockets: Path) -> str:
    return f"unix:{sockets / 'edge.sock'}"


def _edge_child(data_dir: Path, sockets: Path) -> Child:
    address = _edge_address(sockets)
    arguments = ("edge", "serve", "--address", address, "--data-dir", str(data_dir), "--until-stdin-closes")
    return Child("edge node", arguments, {}, EdgeUnavailable)


def _ready(child: Child, edge: EdgeClient) -> Ready:
    async def ready() -> None:
        await child.ready()
        await edge.connected()

    return ready


def _edge_elsewhere(edge: EdgeSettings) -> EdgeClient:
    return EdgeClient(edge.address, read_secret(edge.token_file, "edge.token_file"))


def _cloud_child(
    cloud: CloudSettings, data_dir: Path, sockets: Path, corpora: Sequence[Path], *, embedded: bool
) -> Child | None:
    if cloud.address or not (cloud.backend or embedded):
        return None
    address = f"unix:{sockets / 'cloud.sock'}"
    named = [argument for path in corpora for argument in ("--corpus", str(path))]
    arguments = ("cloud", "serve", "--address", address, "--data-dir", str(data_dir), *named, "--until-stdin-closes")
    environment = {} if cloud.backend else {"EDGEWISE_CLOUD__BACKEND": "llama"}
    return Child("cloud gateway", arguments, environment, CloudUnavailable)


async def _policy(chosen: PrivacySettings) -> Policy:
    if not chosen.presidio:
        return Policy(chosen.unknown)
    from router.egress.detectors.presidio import Presidio

    return Policy(chosen.unknown, (Structural(), await asyncio.to_thread(Presidio.open)))


def _who_gets_it(cloud: CloudSettings, *, embedded: bool) -> str | None:
    """Whom a question goes to, for the audit log; our own gateway runs on this device and asks others. None: nobody."""
    if cloud.address:
        return cloud.address
    if not (cloud.backend or embedded):
        return None
    asked = [one.server for one in cloud.upstreams()] if cloud.backend == "openai_compatible" else []
    searched = [readable_server(cloud.web_search_url)] if cloud.web_search_url else []
    return ", ".join(dict.fromkeys((*asked, *searched))) or "a model on this device"


def _cloud_client(cloud: CloudSettings, sockets: Path, *, started: bool) -> CloudClient | NoCloud:
    if started:
        return CloudClient(f"unix:{sockets / 'cloud.sock'}")
    if cloud.address:
        return CloudClient.to(cloud)
    return NoCloud()
