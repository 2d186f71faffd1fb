"""What SECURITY.md points to is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_path_that_it_names_exists() -> None:
    named = set(re.findall(r"`((?:tests|router|cloud|edge|protos|deploy)/[\w./-]+)`", TEXT))
    assert len(named) > 20
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_it_goes_through_all_ten_items_each_with_a_test() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| LLM\d\d:2026 ", line)]
    assert [row[2:12] for row in rows] == [f"LLM{number:02}:2026" for number in range(1, 11)]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4
        assert all(cells)
        assert "`tests/" in cells[3]
