"""`edgewise leaktest` on the real edge model."""

from __future__ import annotations

from pathlib import Path

from router.egress.verify import verified
from router.leaktest.report import Report
from tests.stack import edgewise


def test_nothing_leaks_and_nothing_is_kept_needlessly(tmp_path: Path) -> None:
    done = edgewise("leaktest", "--quick", "--json", "--data-dir", tmp_path / "kept", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    report = Report.model_validate_json(done.stdout)
    assert report.passed
    assert report.secrets > 80
    assert report.arrived["cloud"] > 40
    assert min(report.seen.values()) > 10, "each sink shows what it gets"
    assert (report.public.kept, report.harmless.kept) == (0, 0)
    assert verified(tmp_path / "kept" / "allow").intact


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "records.db").touch()
    done = edgewise("leaktest", "--data-dir", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["records.db"]
