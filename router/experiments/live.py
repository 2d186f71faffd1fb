"""The experiments of a data directory: at most one runs, and it goes on where it was after a restart."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from edgewise.errors import Conflict, EdgewiseError, InvalidInput, NotFound, NotReady
from edgewise.keys import new_id
from edgewise.types import Experiment, ExperimentStatus, Grade, Privacy, Question, Record, SideStatus, Text
from router.egress import Policy
from router.experiments.assignment import NO_SEAT, Seat, drawn, unit_of
from router.experiments.checking import checked_experiment, checked_name
from router.experiments.shadow import Ask, CloudStatus, Shadow
from router.experiments.shelf import Kept, Shelf
from router.experiments.tally import Tally, is_of
from router.log import Log, now

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Live:
    experiment: Experiment
    tally: Tally
    shadow: Shadow

    @property
    def status(self) -> ExperimentStatus:
        return ExperimentStatus(
            experiment=self.experiment,
            arms=self.tally.arms,
            differences=self.tally.differences,
            shadow=self.tally.shadow,
            shadow_spent_usd=self.shadow.spent_usd,
            shadow_skipped=self.shadow.skipped,
        )

    def kept(self, final: ExperimentStatus | None = None) -> Kept:
        experiment = final.experiment if final else self.experiment
        return Kept(
            experiment=experiment, spent_usd=self.shadow.spent_usd, skipped=self.shadow.skipped, final=final
        )  # fmt: skip


class Experiments:
    """What a router asks about experiments. Without a directory none can be started."""

    def __init__(self, directory: Path | None, records: Log, policy: Policy) -> None:
        self._shelf = Shelf(directory) if directory else None
        self._log = records
        self._policy = policy
        self._live: _Live | None = None
        self._held: Experiment | None = None
        self._changing = asyncio.Lock()

    @staticmethod
    async def open(directory: Path, records: Log, policy: Policy) -> Experiments:
        """With the experiment that ran when the directory was last used, if any. Damaged files are left out."""
        experiments = Experiments(directory, records, policy)
        for kept in await Shelf(directory).readable():
            if not kept.experiment.stopped_at:
                experiments._live = await experiments._running(kept)
            elif kept.experiment.held:
                experiments._held = kept.experiment
        return experiments

    # --- while questions are answered -----------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether questions have seats at all: in the one that runs, or that stopped by itself and holds its mode."""
        return bool(self._live or self._held)

    @property
    def has_shadow(self) -> bool:
        return self._live is not None and bool(self._live.experiment.shadow)

    async def seat(self, question: Question, app: str) -> Seat:
        """The part of a question, as it was asked. Who names a mode gets it, and what may not leave takes no part."""
        experiment = self._live.experiment if self._live else self._held
        if experiment is None or question.mode:
            return NO_SEAT
        history = question.history
        if question.conversation_id:
            history = await self._log.turns(app, question.conversation_id)
        texts = (Text(value=question.text, label=question.privacy), *(turn.text for turn in history))
        if await self._policy.held(texts) or _is_refused_by_some(experiment, question):
            return NO_SEAT
        if experiment.held:
            return Seat(mode=experiment.arms[0].mode)
        arm = drawn(experiment, unit_of(experiment, question, new_id()))
        return Seat(experiment.name, arm.mode, arm.weight, arm.mode, history=history)

    def answered(self, record: Record) -> None:
        """A record that was written."""
        live = self._live
        if live is None or not is_of(live.experiment, record):
            return
        live.tally.answered(record)
        if record.shadow_of:
            live.shadow.settled(record)

    def shadow(
        self, question: Question, record: Record, seat: Seat, *, alone: bool, cloud: CloudStatus, ask: Ask
    ) -> None:
        """An answer that is complete: if it is the control's, the question may go to the shadow."""
        live = self._live
        if live is None or not live.experiment.shadow or not is_of(live.experiment, record):
            return
        if (
            not record.shadow_of
            and record.arm == live.experiment.arms[0].mode
            and record.privacy is not Privacy.PRIVATE
        ):
            live.shadow.offer(question, record, seat, alone=alone, cloud=cloud, ask=ask)

    async def graded(self, grade: Grade) -> None:
        """A grade that was kept; it may end the experiment. Whatever fails here, the grade is kept."""
        live = self._live
        if live is None:
            return
        try:
            record = await self._log.get(grade.record_id)
            if self._live is not live or not is_of(live.experiment, record):
                return
            live.tally.graded([(record, grade)])
            if harmed := live.tally.harmed:
                await self._stop_for_harm(live, harmed.arm)
        except EdgewiseError as error:
            log.warning("experiment %s: %s", live.experiment.name, error.message)

    # --- what people do with them ---------------------------------------------------------------------------------

    async def start(self, experiment: Experiment, cloud: SideStatus) -> ExperimentStatus:
        """InvalidInput for one that cannot be, Conflict while one runs or for a name that was used."""
        shelf = self._shelf
        if shelf is None:
            raise NotReady("this router keeps no experiments; start one on a daemon, or on a data directory")
        checked = checked_experiment(experiment, cloud)
        own = {"started_at": now(), "stopped_at": "", "stopped_because": "", "held": False}
        async with self._changing:
            if self._live:
                running = self._live.experiment.name
                raise Conflict(f"{running} is running; stop it first (edgewise experiment stop {running})")
            if checked.name in await shelf.names():
                raise Conflict(f"there was an experiment `{checked.name}` already; give a new name, and lots anew")
            await self._let_go()
            live = await self._running(Kept(experiment=checked.model_copy(update=own)))
            await shelf.write(live.kept())
            self._live = live
        log.info("experiment %s started", checked.name)
        return live.status

    async def status(self, name: str = "") -> ExperimentStatus:
        """Of a name; else of the one that runs, or of the newest. NotFound when there is none."""
        live = self._live
        if live and name in {"", live.experiment.name}:
            return live.status
        kept = await self._kept(name)
        return kept.final or (await self._running(kept)).status

    async def stop(self, name: str = "") -> ExperimentStatus:
        """Ends the one that runs, or lets go of one that has stopped by itself: then the default mode is back."""
        async with self._changing:
            if self._live and name in {"", self._live.experiment.name}:
                return await self._end(self._live, "stopped by hand", held=False)
            if self._held and name in {"", self._held.name}:
                held = self._held.name
                await self._let_go()
                return (await self._kept(held)).final or await self.status(held)
        if name:
            stopped_at = (await self._kept(name)).experiment.stopped_at
            raise InvalidInput(f"{name} was stopped already, at {stopped_at}; there is nothing to stop")
        raise NotFound("no experiment is running; start one with `edgewise experiment start`")

    async def close(self) -> None:
        """Ends a shadow answer, and keeps what is known of the shadow."""
        if self._live is None or self._shelf is None or not self._live.experiment.shadow:
            return
        await self._live.shadow.close()
        try:
            await self._shelf.write(self._live.kept())
        except EdgewiseError as error:
            log.warning("experiment %s: %s", self._live.experiment.name, error.message)

    async def _running(self, kept: Kept) -> _Live:
        async def save() -> None:
            if self._shelf:
                await self._shelf.write(live.kept())

        tally = await Tally.of(kept.experiment, self._log)
        live = _Live(kept.experiment, tally, Shadow(kept.experiment, save, kept.spent_usd, kept.skipped))
        return live

    async def _kept(self, name: str) -> Kept:
        if self._shelf and name:
            return await self._shelf.read(checked_name(name))
        found = await self._shelf.readable() if self._shelf else ()
        if not found:
            raise NotFound("there are no experiments yet; start one with `edgewise experiment start`")
        return found[-1]

    async def _stop_for_harm(self, live: _Live, arm: str) -> None:
        async with self._changing:
            if self._live is not live:
                return
            [harmed] = [one for one in live.tally.differences if one.arm == arm]
            control = live.experiment.arms[0].mode
            because = (
                f"{arm} is worse than {control}: {harmed.difference:.3f} ({harmed.lo:.3f} to {harmed.hi:.3f}) after "
                f"{harmed.units} graded units, where {-live.experiment.harm:g} was allowed"
            )
            log.warning(
                "experiment %s stopped by itself, %s answers from now on: %s", live.experiment.name, control, because
            )
            await self._end(live, because, held=True)

    async def _end(self, live: _Live, because: str, *, held: bool) -> ExperimentStatus:
        """Ended at once in this process, whatever the disk says."""
        await live.shadow.close()
        own = {"stopped_at": now(), "stopped_because": because, "held": held}
        stopped = live.experiment.model_copy(update=own)
        self._live, self._held = None, stopped if held else None
        final = live.status.model_copy(update={"experiment": stopped})
        if self._shelf:
            await self._shelf.write(live.kept(final))
        return final

    async def _let_go(self) -> None:
        if self._held is None or self._shelf is None:
            return
        kept = await self._shelf.read(self._held.name)
        own = kept.experiment.model_copy(update={"held": False})
        final = kept.final.model_copy(update={"experiment": own}) if kept.final else None
        await self._shelf.write(kept.model_copy(update={"experiment": own, "final": final}))
        self._held = None


def _is_refused_by_some(experiment: Experiment, question: Question) -> bool:
    """What one arm would refuse takes no part, or the arms would not be asked the same: +cot has no room for JSON."""
    return bool(question.response_schema) and any("cot" in arm.mode.split("+") for arm in experiment.arms)
