"""What cannot be an experiment is refused, and a damaged file says so."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from edgewise.errors import InvalidInput, NotFound, NotReady
from edgewise.types import Arm, Experiment, SideStatus, Skipped
from router.experiments.checking import checked_experiment
from router.experiments.shelf import Kept, Shelf

CLOUD = SideStatus(ready=True, usd_per_mtok_prompt=1.0, usd_per_mtok_completion=1.0, usd_per_fetch=0.0)
TWO = (Arm(mode="edge_only", weight=0.5), Arm(mode="auto", weight=0.5))
GOOD = Experiment(name="pilot-2", arms=TWO)


def arms(*pairs: tuple[str, float]) -> tuple[Arm, ...]:
    return tuple(Arm(mode=mode, weight=weight) for mode, weight in pairs)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"arms": arms(("edge_only", 1 / 3), ("edge_only+rag", 1 / 3), ("post_arbitration+cascade", 1 / 3))},
        {"shadow": "cloud_only", "shadow_usd": 0.01},
        {"shadow": "auto", "shadow_usd": 0.01},
        {"arms": arms(("auto", 1.0)), "shadow": "cloud_only", "shadow_usd": 0.01},
    ],
)
def test_what_can_be_is_let_through(given: dict[str, object]) -> None:
    experiment = GOOD.model_copy(update=given)
    assert checked_experiment(experiment, CLOUD) == experiment


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": ""}, "no name"),
        ({"name": "Pilot"}, "a-z"),
        ({"name": "../../etc/passwd"}, "no name"),
        ({"name": "-x"}, "no name"),
        ({"name": "a\n"}, "no name"),
        ({"arms": ()}, "2 to 5 arms"),
        ({"arms": arms(("auto", 1.0))}, "compares nothing"),
        ({"arms": arms(*((f"edge_only+{place}", 1 / 6) for place in range(6)))}, "2 to 5 arms"),
        ({"arms": arms(("edge_only", 0.5), ("best", 0.5))}, "no mode `best`"),
        ({"arms": arms(("edge_only", 0.5), ("edge_only+speed", 0.5))}, "no variant"),
        ({"arms": arms(("edge_only", 0.5), ("edge_only", 0.5))}, "edge_only is an arm twice"),
        ({"arms": arms(("edge_only", 0.5), ("auto", 0.4))}, "add up to 0.9"),
        ({"arms": arms(("edge_only", 1.0), ("auto", 1.0))}, "add up to 2"),
        ({"shadow": "edge_only", "shadow_usd": 1.0}, "control already"),
        ({"shadow": "best", "shadow_usd": 1.0}, "no mode `best`"),
        ({"shadow": "cloud_only"}, "needs shadow_usd"),
        ({"shadow": "cloud_only", "shadow_usd": 0.0}, "needs shadow_usd"),
        ({"shadow_usd": 1.0}, "is for a shadow"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        checked_experiment(GOOD.model_copy(update=given), CLOUD)


@pytest.mark.parametrize("unknown", ["usd_per_mtok_prompt", "usd_per_mtok_completion", "usd_per_fetch"])
def test_a_shadow_of_unknown_price_is_refused_unless_it_stays_here(unknown: str) -> None:
    cloud = CLOUD.model_copy(update={unknown: None})
    shadowed = GOOD.model_copy(update={"shadow": "cloud_only", "shadow_usd": 1.0})
    with pytest.raises(InvalidInput, match="unknown"):
        checked_experiment(shadowed, cloud)
    checked_experiment(shadowed.model_copy(update={"shadow": "edge_only+rag"}), cloud)
    with pytest.raises(InvalidInput, match="start a cloud"):
        checked_experiment(shadowed, SideStatus(ready=False, reason="there is none; start a cloud"))


@pytest.mark.parametrize("weight", [0.0, -0.5, 1.5, float("nan")])
def test_a_weight_is_a_share(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        Arm(mode="auto", weight=weight)


# --- files ------------------------------------------------------------------------------------------------------------


def test_an_experiment_comes_back_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    shelf, kept = Shelf(tmp_path / "experiments"), Kept(experiment=GOOD, spent_usd=0.1, skipped=(Skipped(reason="x"),))
    asyncio.run(shelf.write(kept))
    assert asyncio.run(shelf.read("pilot-2")) == kept
    assert asyncio.run(shelf.names()) == ("pilot-2",)
    [file] = (tmp_path / "experiments").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_write_that_nobody_waits_for_never_undoes_a_later_one(tmp_path: Path) -> None:
    async def main() -> None:
        shelf = Shelf(tmp_path)
        for number in range(100):
            given_up = asyncio.create_task(shelf.write(Kept(experiment=GOOD, spent_usd=0.5)))
            await asyncio.sleep(0.0001 * (number % 4))
            given_up.cancel()
            await shelf.write(Kept(experiment=GOOD, spent_usd=float(number)))
            assert (await shelf.read("pilot-2")).spent_usd == number
        await asyncio.sleep(0.05)
        assert (await shelf.read("pilot-2")).spent_usd == 99

    asyncio.run(main())


DAMAGED = {
    "half": Kept(experiment=GOOD).model_dump_json()[:50],
    "empty": "",
    "of-tomorrow": '{"of_tomorrow": 1}',
    "another": Kept(experiment=GOOD).model_dump_json(),
    "no-mode": Kept(experiment=GOOD).model_dump_json().replace("edge_only", "yesterdays").replace("pilot-2", "no-mode"),
    "no-arms": Kept(experiment=Experiment(name="no-arms", arms=())).model_dump_json(),
}


def test_damaged_files_say_so_and_hide_no_other(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    asyncio.run(shelf.write(Kept(experiment=GOOD)))
    for name, text in DAMAGED.items():
        (tmp_path / f"{name}.json").write_text(text)
        with pytest.raises(NotReady, match="damaged"):
            asyncio.run(shelf.read(name))
    assert [kept.experiment.name for kept in asyncio.run(shelf.readable())] == ["pilot-2"]


def test_what_is_not_there_and_what_cannot_be_written_say_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="experiment start"):
        asyncio.run(Shelf(tmp_path).read("x"))
    assert asyncio.run(Shelf(tmp_path / "nowhere").readable()) == ()
    (tmp_path / "file").touch()
    with pytest.raises(NotReady, match="cannot be written"):
        asyncio.run(Shelf(tmp_path / "file").write(Kept(experiment=GOOD)))
