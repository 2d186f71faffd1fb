from pathlib import Path

import pytest

from edge import memory

GB = 10**9


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """8 GB free, no control group."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal: {16 * GB // 1024} kB\nMemAvailable: {8 * GB // 1024} kB\n")
    return tmp_path


def group(machine: Path, path: str, limit: str, used: int, inactive: int = 0) -> None:
    directory = machine / "cgroup" / path
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "memory.max").write_text(limit + "\n")
    (directory / "memory.current").write_text(f"{used}\n")
    (directory / "memory.stat").write_text(f"anon 1\ninactive_file {inactive}\n")


def test_the_machine_says_what_is_free(machine: Path) -> None:
    assert memory.available() == pytest.approx(8 * GB, abs=1024)


def test_the_tightest_control_group_counts(machine: Path) -> None:
    (machine / "proc" / "self" / "cgroup").write_text("0::/user/shell\n")
    group(machine, "user/shell", "max", 3 * GB)
    group(machine, "user", str(4 * GB), 3 * GB)
    assert memory.available() == GB
    group(machine, "user", str(4 * GB), 3 * GB, inactive=2 * GB)
    assert memory.available() == 3 * GB
    group(machine, "user/shell", str(2 * GB), 3 * GB)
    assert memory.available() == 0


def test_nobody_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    assert memory.available() is None
