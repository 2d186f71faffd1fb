from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edge.llama.machine import build, calibration
from edge.llama.machine.calibration import Calibration, Measured, Speeds, Tuning, choose

Machine = Callable[[Tuning], Speeds]


def chosen(machine: Machine, cores: int = 4, drift: float = 0.0, noise: float = 0.0, rounds: int = 3) -> Calibration:
    """What is chosen on a machine that becomes faster by `drift` in all, and where every round is worse for another
    setting by `noise`."""

    def measure(tunings: Sequence[Tuning]) -> tuple[Measured, ...]:
        found = []
        for place, tuning in enumerate(tunings):
            speeds = machine(tuning)
            factors = [1 + drift * (index / max(1, rounds - 1) - 0.5) for index in range(rounds)]
            factors = [f * (1 - noise * (index % len(tunings) == place)) for index, f in enumerate(factors)]
            scaled = [Speeds(speeds.prompt * f, speeds.single * f, speeds.several * f) for f in factors]
            found.append(Measured(tuning, tuple(scaled)))
        return tuple(found)

    return choose(cores, measure)


def flat(_: Tuning) -> Speeds:
    return Speeds(300, 100, 200)


def test_the_default_stays_where_nothing_is_better() -> None:
    found = chosen(flat)
    assert found.tuning == Tuning.default(4) == found.default.tuning
    assert found.chosen.speeds == Speeds(300, 100, 200)
    assert not found.noisy


def test_generation_and_prompts_have_threads_of_their_own() -> None:
    found = chosen(lambda tuning: Speeds(100 * tuning.prompt_threads, 100 / tuning.threads, 200 / tuning.threads))
    assert (found.tuning.threads, found.tuning.prompt_threads) == (1, 4)
    assert found.chosen.tuning == found.tuning


def test_every_number_of_cores_is_tried_in_powers_of_two() -> None:
    tried = {one.tuning.threads for one in chosen(flat, cores=6).measured}
    assert tried == {6, 1, 2, 4}
    assert {one.tuning.threads for one in chosen(flat, cores=1).measured} == {1}


def test_the_chunk_that_evaluates_prompts_fastest_wins() -> None:
    found = chosen(lambda tuning: Speeds(200 + tuning.chunk_tokens, 100, 200))
    assert found.tuning.chunk_tokens == 256


@pytest.mark.parametrize(
    ("speeds", "on"),
    [
        (Speeds(400, 130, 260), True),
        (Speeds(330, 95, 190), True),
        (Speeds(400, 50, 90), False),
        (Speeds(250, 130, 260), False),
        (Speeds(305, 100, 200), False),
    ],
)
def test_flash_attention_has_to_be_better_for_whole_requests(speeds: Speeds, on: bool) -> None:
    found = chosen(lambda tuning: speeds if tuning.flash_attention else Speeds(300, 100, 200))
    assert found.tuning.flash_attention is on


def test_a_gain_within_the_noise_is_none() -> None:
    def machine(tuning: Tuning) -> Speeds:
        return Speeds(300 + tuning.chunk_tokens / 2, 100, 200)

    assert chosen(machine, noise=0.05).tuning.chunk_tokens == 256
    busy = chosen(machine, noise=0.4)
    assert busy.tuning == Tuning.default(4)
    assert busy.noisy


def test_settings_are_compared_within_a_round() -> None:
    found = chosen(lambda tuning: Speeds(200 + tuning.chunk_tokens, 100, 200), drift=0.8)
    assert found.tuning.chunk_tokens == 256
    assert found.noisy


def test_a_single_round_decides_nothing() -> None:
    found = chosen(lambda tuning: Speeds(200 + tuning.chunk_tokens, 100, 200), rounds=1)
    assert found.tuning == Tuning.default(4)
    assert found.noisy


def test_what_was_measured_is_kept_for_this_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert calibration.stored("a" * 64) is None
    found = chosen(lambda tuning: Speeds(200 + tuning.chunk_tokens, 100, 200), drift=0.01)
    calibration.keep("a" * 64, found)
    assert calibration.known("a" * 64) == found
    assert calibration.stored("a" * 64) == found.tuning
    assert calibration.stored("b" * 64) is None
    with monkeypatch.context() as patch:
        patch.setattr(build, "cores", lambda: 99)
        assert calibration.stored("a" * 64) is None
    next((tmp_path / "edgewise" / "calibration").iterdir()).write_text('{"tuning": {"threads": 2}}')
    assert calibration.stored("a" * 64) is None
