"""An experiment on a router, asked in process or over gRPC."""

from __future__ import annotations

from edgewise.types import Arm, Experiment, ExperimentStatus, Question, Record
from tests.routers import ASKED, Place

CONTROL, OTHER = "edge_only", "cloud_only"
PILOT = Experiment(name="pilot", arms=(Arm(mode=CONTROL, weight=0.5), Arm(mode=OTHER, weight=0.5)))


async def start(place: Place, experiment: Experiment) -> ExperimentStatus:
    if place.client:
        return await place.client.start_experiment(experiment)
    return await place.router.experiments.start(experiment, await place.cloud.status())


async def get(place: Place, name: str = "") -> ExperimentStatus:
    return await (place.client.experiment(name) if place.client else place.router.experiments.status(name))


async def stop(place: Place, name: str = "") -> ExperimentStatus:
    return await (place.client.stop_experiment(name) if place.client else place.router.experiments.stop(name))


async def ask(place: Place, **given: object) -> Record:
    """The record of an answer; no mode is named unless it is given."""
    heard = await place.ask(Question.model_validate({"text": ASKED, **given}))
    return await place.record(heard.done.record_id)


async def asked(place: Place, conversation_id: str) -> Record:
    """The oldest record of a conversation."""
    return [one for one in await place.records() if one.conversation_id == conversation_id][-1]
