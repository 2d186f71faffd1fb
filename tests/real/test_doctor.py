import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge import doctor, memory, models
from edge.config import EdgeSettings
from edge.doctor import Finding
from edge.llama.machine import calibration, hardware
from edge.llama.machine.calibration import Calibration, Measured, Speeds, Tuning
from edgewise.errors import NotReady
from router.cli import app


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> Calibration:
    """As if this machine had been measured, which takes half a minute."""
    tuning = Tuning(1, 2, 256, flash_attention=False)
    rounds = (Speeds(300, 100, 200), Speeds(303, 101, 202))
    base = Measured(Tuning.default(2), (Speeds(200, 80, 150), Speeds(202, 81, 151)))
    found = Calibration(tuning, (base, Measured(tuning, rounds)), "2026-01-02T03:04:05+00:00")
    monkeypatch.setattr(calibration, "known", lambda _: found)
    monkeypatch.setattr(calibration, "measure", lambda *_: pytest.fail("nobody asked for that"))
    return found


def by_subject(**settings: object) -> dict[str, Finding]:
    chosen = EdgeSettings.model_validate(settings)
    return {one.subject: one for one in doctor.findings(chosen, calibrate=False, progress=lambda _: None)}


def test_a_healthy_edge(gguf: Path) -> None:
    found = by_subject()
    assert {one.level for one in found.values()} == {"ok"}
    assert found["model"].figures["sha256"] == models.SMOLLM2.files[0].sha256
    needed = found["memory"].figures["needed_bytes"]
    assert isinstance(needed, int)
    assert needed > gguf.stat().st_size
    assert "one answer 100" in found["speed"].text
    assert "the default: tokens/s: prompts 201" in found["speed"].text
    machine = hardware.look()
    assert "weights" in by_subject(repack=False)
    assert ("weights" in found) is not (machine.uses_amx or machine.has_kernels)


def test_llama_cpp_names_the_processor_that_it_uses() -> None:
    found = hardware.look()
    assert [device.name for device in found.devices if not device.is_gpu]
    assert found.features


def test_a_damaged_model_ends_it(gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf.read_bytes()[:1_000_000])
    found = by_subject(model=str(path))
    assert "damaged" in found["model"].text
    assert found["model"].level == "fail"
    assert "speed" not in found


def test_what_does_not_fit_and_what_is_more_than_the_model_has(monkeypatch: pytest.MonkeyPatch) -> None:
    found = by_subject(context_tokens=16384)
    assert (found["memory"].level, "8192" in found["memory"].advice) == ("warn", True)
    monkeypatch.setattr(memory, "available", lambda: 1000)
    found = by_subject()
    assert (found["memory"].level, found["memory"].advice) == ("fail", memory.ADVICE)


def test_a_noisy_measurement_is_said_to_be_one(measured: Calibration, monkeypatch: pytest.MonkeyPatch) -> None:
    wild = Measured(measured.tuning, (Speeds(300, 100, 200), Speeds(100, 30, 60)))
    monkeypatch.setattr(calibration, "known", lambda _: Calibration(measured.tuning, (wild,), measured.measured_at))
    assert by_subject()["speed"].level == "warn"
    monkeypatch.setattr(calibration, "known", lambda _: None)
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    assert "not measured" in by_subject()["speed"].text


def test_another_engine_needs_no_llama_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "look", lambda: pytest.fail("nobody asked for that"))
    assert "llama.cpp is not used" in by_subject(engine="openai_url", base_url="http://127.0.0.1:1/v1")["engine"].text
    assert "runs elsewhere" in by_subject(address="127.0.0.1:1")["engine"].text


def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_subject(devices=["CUDA7"])["devices"].level == "fail"
    assert by_subject(gpu_layers=-1)["devices"].level in {"ok", "warn"}

    def broken() -> hardware.Hardware:
        raise NotReady("llama.cpp cannot be loaded")

    monkeypatch.setattr(hardware, "look", broken)
    assert by_subject()["llama.cpp"].level == "fail"


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWISE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("EDGEWISE_CONFIG", str(tmp_path / "edgewise.toml"))
    run = CliRunner().invoke
    result = run(app, ["doctor"])
    assert result.exit_code == 0
    assert "not there yet" in " ".join(result.stdout.split())
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "token").write_text("secret\n")
    (tmp_path / "data" / "token").chmod(0o644)
    result = run(app, ["doctor", "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert not found["ok"]
    assert [one["subject"] for one in found["findings"] if one["level"] == "fail"] == ["token"]
    assert "secret" not in result.stdout
    (tmp_path / "edgewise.toml").write_text("[edge]\nmodle = 1\n")
    result = run(app, ["doctor"])
    assert result.exit_code == 1
    assert "edge.modle is not a setting" in result.stdout.replace("\n", " ")
