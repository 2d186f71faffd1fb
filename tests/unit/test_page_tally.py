"""What the page counts over records: by mode, by money, by grader."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edgewise.types import CostBasis, Grade, Record
from router.page import tally
from router.page.tally import mean_grade, newest, spend, tallies
from tests.logs import answered
from tests.routers import a_cloud, an_edge, place


def record(name: str, mode: str = "edge_only", **given: object) -> Record:
    at = {"record_id": name, "mode": mode, "created_at": "2026-01-02T00:00:00.000+00:00", "cost_usd": 0.0}
    return Record.model_validate({**at, **given})


def grade(score: float, grader: str = "g") -> Grade:
    return Grade(record_id="x", grader=grader, score=score)


def test_a_mode_is_counted_without_making_anything_up() -> None:
    assert tallies(()) == ()
    [found] = tallies([record("a", error="UNAVAILABLE", total_s=9)])
    assert (found.n, found.errors, found.cost_usd) == (1, 1, 0)
    assert (found.total_s_p50, found.total_s_p95, found.first_kept_s_p50, found.mean_grade) == (None,) * 4


def test_modes_come_most_used_first_with_their_own_numbers() -> None:
    records = [
        record("a", "cloud_only", cost_usd=0.5, total_s=1, first_kept_s=0.5, grades=(grade(1),)),
        record("b", "edge_only", total_s=2),
        record("c", "cloud_only", cost_usd=0.25, total_s=3, degraded=True),
    ]
    cloud, edge = tallies(records)
    assert (cloud.mode, cloud.n, cloud.cost_usd, cloud.degraded) == ("cloud_only", 2, 0.75, 1)
    assert (cloud.total_s_p50, cloud.first_kept_s_p50, cloud.graded, cloud.mean_grade) == (2, 0.5, 1, 1)
    assert cloud.total_s_p95 == pytest.approx(2.9)
    assert (edge.mode, edge.n, edge.cost_usd, edge.graded) == ("edge_only", 1, 0, 0)


def test_one_unknown_cost_makes_a_modes_sum_unknown_and_is_counted_in_what_was_spent() -> None:
    records = [record("a", cost_usd=None), record("b", cost_usd=0.5, cost_basis=CostBasis.BILLED)]
    assert tallies(records)[0].cost_usd is None
    spent = spend(records, "2026", "2026")
    assert (spent.n, spent.known_usd, spent.unknown, spent.cost_basis) == (2, 0.5, 1, CostBasis.BILLED)


def test_what_was_spent_is_of_its_time_and_says_when_it_could_not_go_back_so_far() -> None:
    records = [record("a", created_at="2026-01-03", cost_usd=1), record("b", created_at="2026-01-01", cost_usd=2)]
    assert (spend(records, "2026-01-02", "2025").known_usd, spend(records, "2026-01-01", "2025").known_usd) == (1, 3)
    assert spend(records, "2025", "2026-01-02").since == "2026-01-02"


def test_a_grader_counts_once_with_the_latest_grade() -> None:
    assert mean_grade(record("a")) is None
    assert mean_grade(record("a", grades=(grade(0), grade(1), grade(0.5, "h")))) == 0.75


def test_more_records_than_are_looked_at_are_said_to_be_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with place(tmp_path, an_edge(), a_cloud()) as opened:
            for day in (1, 2, 3):
                await answered(opened.log, f"r{day}", "?", "edge", created_at=f"2026-01-0{day}")
            for since, names, back_to in (
                ("2026", ["r3", "r2"], "2026-01-02"),
                ("2026-01-03", ["r3"], "2026-01-03"),
                ("2027", [], "2027"),
            ):
                records, known_since = await newest(opened.router, since)
                assert ([record.record_id for record in records], known_since) == (names, back_to)

    monkeypatch.setattr(tally, "_LOOKED_AT", 2)
    asyncio.run(main())
