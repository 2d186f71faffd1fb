"""What is asked of an experiment before it is started."""

from __future__ import annotations

import re

from edgewise.errors import InvalidInput
from edgewise.types import Experiment, SideStatus
from router.modes import parse

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_MOST_ARMS = 5
_ROUNDING = 1e-6


def checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"`{name[:60]}` is no name of an experiment; use 1 to 60 of a-z, 0-9 and `-`")
    return name


def checked_experiment(experiment: Experiment, cloud: SideStatus) -> Experiment:
    """The experiment; InvalidInput says what is wrong with it. `cloud` is what its shadow would be charged by."""
    checked_name(experiment.name)
    modes = [arm.mode for arm in experiment.arms]
    if not modes or len(modes) > _MOST_ARMS:
        raise InvalidInput(f"an experiment has 2 to {_MOST_ARMS} arms, not {len(modes)}")
    if len(modes) == 1 and not experiment.shadow:
        raise InvalidInput("one arm alone compares nothing; give a second one, or a shadow")
    for mode in (*modes, *filter(None, [experiment.shadow])):
        parse(mode)
    if twice := {mode for mode in modes if modes.count(mode) > 1}:
        raise InvalidInput(f"{', '.join(sorted(twice))} is an arm twice; name each mode once")
    total = sum(arm.weight for arm in experiment.arms)
    if abs(total - 1) > _ROUNDING:
        raise InvalidInput(f"the weights of the arms add up to {total:g}; make it 1")
    _check_shadow(experiment, cloud)
    return experiment


def needs_cloud(mode: str) -> bool:
    """Whether a mode may ask the cloud; only one never does."""
    return parse(mode)[0] != "edge_only"


def _check_shadow(experiment: Experiment, cloud: SideStatus) -> None:
    if not experiment.shadow:
        if experiment.shadow_usd is not None:
            raise InvalidInput("shadow_usd is for a shadow; give one, or leave shadow_usd out")
        return
    if experiment.shadow == experiment.arms[0].mode:
        raise InvalidInput(f"{experiment.shadow} is the control already; let another mode be its shadow")
    if not experiment.shadow_usd:
        raise InvalidInput("a shadow needs shadow_usd, the most that it may cost in all; give more than 0")
    if not needs_cloud(experiment.shadow):
        return
    if not cloud.ready:
        raise InvalidInput(f"{experiment.shadow} cannot be the shadow: {cloud.reason or 'the cloud is not ready'}")
    if None in {cloud.usd_per_mtok_prompt, cloud.usd_per_mtok_completion, cloud.usd_per_fetch}:
        raise InvalidInput(
            f"what {experiment.shadow} costs is unknown, so shadow_usd cannot be kept; set cloud.usd_per_mtok_prompt, "
            "cloud.usd_per_mtok_completion and cloud.usd_per_fetch, or start without a shadow"
        )
