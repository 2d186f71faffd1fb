from pathlib import Path

import pytest

from edge import models
from edge.llama.machine import calibration, stopwatch
from edge.llama.machine.calibration import Tuning
from edge.llama.machine.stopwatch import Stopwatch
from edgewise.errors import NotReady


def test_settings_are_timed_in_turns(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "_ROUNDS", 2)
    monkeypatch.setattr(stopwatch, "_STEPS", 2)
    monkeypatch.setattr(stopwatch, "PROMPT_TOKENS", 64)
    done: list[int] = []
    tunings = (Tuning(1, 1, 64, flash_attention=False), Tuning(1, 1, 32, flash_attention=True))
    with Stopwatch(gguf, done.append) as watch:
        measured = watch.rounds(tunings)
    assert tuple(one.tuning for one in measured) == tunings
    assert done == list(range(1, 1 + len(measured[0].rounds)))
    for one in measured:
        assert min(one.speeds.prompt, one.speeds.single, one.speeds.several) > 0


def test_a_model_that_llama_cpp_cannot_load_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF and nothing else")
    with pytest.raises(NotReady, match=r"calibration of .*broken\.gguf failed"):
        calibration.measure(path)
    assert calibration.stored(models.digest(path)) is None
