"""`make bench-engine` on a little of everything: its JSON has the shape that it promises. The figures mean nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.engine import report
from tests.bench.engine.plan import Plan, Repeats, Workload
from tests.bench.engine.prompts import PromptMaker
from tests.bench.engine.run import run

LITTLE = Plan(
    rounds=1,
    contenders=("bare", "lock", "server", "ours"),
    single=Workload("single", 40),
    workloads=(Workload("short", 40), Workload("long", 56, shared_tokens=40)),
    streams=(2,),
    requests=2,
    new_tokens=3,
    context_tokens=512,
    trials=False,
    repeats=Repeats(
        prefix=1,
        prefix_tokens=40,
        conversations=1,
        cancels=1,
        cancelled_tokens=64,
        answers=1,
        lag_rounds=1,
    ),
)


@pytest.mark.timeout(300)
def test_the_result_has_its_keys_and_every_answer_is_counted(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.bench.llama_server.find", lambda: None)
    result = run(LITTLE, gguf, threads=1, log=tmp_path / "log", may_build=False)
    assert result.keys() == {"name", "commit", "machine", "settings", "rows", "summary"}
    assert json.loads(json.dumps(result))["settings"]["requests"] == LITTLE.requests
    assert result["settings"]["probe_error"] == ""
    summary = result["summary"]
    assert summary.keys() == report.TARGETS.keys()
    assert {key for key, value in summary.items() if value is None} >= {"short8_vs_server", "rss_vs_server"}
    assert {"grammar_overhead", "kv_restore_ms", "cancel_p99_s"} <= {
        key for key, value in summary.items() if value is not None
    }
    assert all(summary[key] > 0 for key in ("single_prompt_ratio", "short8_vs_lock", "long8_ttft95_vs_lock"))
    measured = [row for row in result["rows"] if "workload" in row]
    assert {(row["contender"], row["workload"], row["streams"]) for row in measured} == {
        ("bare", "single", 1),
        *((name, "single", 1) for name in ("lock", "ours")),
        *((name, load, 2) for name in ("lock", "ours") for load in ("short", "long")),
    }
    for row in measured:
        asked = 1 if row["workload"] == "single" else LITTLE.requests
        assert row["answers"] == asked
        assert row["completion_tokens"] == asked * LITTLE.new_tokens
    assert [row["contender"] for row in result["rows"] if "error" in row] == ["server"]
    assert "| `short8_vs_lock` | >= 1.9 |" in report.markdown(result)


def test_prompts_have_their_length_and_only_what_they_should_in_common(gguf: Path) -> None:
    maker = PromptMaker(gguf, seed=1)
    asked = maker.batch(Workload("long", 512, shared_tokens=400), 8)
    maker.close()
    assert [one.tokens for one in asked] == [512] * 8
    assert len({(one.system, one.user) for one in asked}) == 8
    assert sorted([one.system for one in asked].count(one.system) for one in asked) == [1, 1, 1, 1, 4, 4, 4, 4]
