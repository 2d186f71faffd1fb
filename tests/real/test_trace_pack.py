"""The trace that comes with Edgewise, replayed by the command as a stranger would."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from router import demo
from router.compare.questions import read_questions
from router.trace import Trace
from tests.bench.compare.pack import pack
from tests.stack import edgewise


def test_the_pack_replays_whole_and_as_it_was_recorded(tmp_path: Path) -> None:
    trace = Trace.read(demo.trace())
    assert trace.head.licence == "Apache-2.0"
    assert "stand-in" in trace.head.about
    assert tuple(trace.questions.values()) == read_questions(demo.questions()), "it is of other questions; pack it anew"
    written = [call.call for calls in trace.calls.values() for call in calls if call.call.kind == "generate"]
    assert all(len(call.logprobs) == len(call.entropies) == len(call.margins) > 0 for call in written if call.response)

    done = edgewise("replay", demo.trace(), "--mode", "all", "--json", data_dir=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    replaying = summary["environment"]["replaying"]
    assert set(replaying["covered"].values()) == {1.0}, "the router asks for something else now; pack it anew"
    assert replaying["trace"] == trace.digest
    for mode, found in summary["modes"].items():
        rows = [answered.row for (_, name), answered in trace.answers.items() if name == mode]
        assert found["n"] == len(rows)
        assert found["accuracy"]["mean"] == sum(row.score or 0.0 for row in rows) / len(rows)


def test_packing_again_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_bytes(gzip.decompress(demo.trace().read_bytes()))
    for again in ("once.gz", "twice.gz"):
        pack(tmp_path, tmp_path / again)
        (tmp_path / "trace.jsonl").write_bytes(gzip.decompress((tmp_path / again).read_bytes()))
    assert (tmp_path / "once.gz").read_bytes() == (tmp_path / "twice.gz").read_bytes()
    assert Trace.read(tmp_path / "once.gz").answers == Trace.read(demo.trace()).answers
