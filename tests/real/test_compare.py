"""Comparisons through the real router, store and embedder, on recorded answers so that every score is known."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from edge.config import EdgeSettings
from edge.node import EdgeNode
from edgewise.types import Upload
from router import demo
from router.arbiter.arbiter import Arbiter, Models
from router.compare.comparison import run_compare
from router.compare.questions import Graded, read_questions
from router.compare.rows import WARM, Row, read_run
from router.compare.runner import Manner
from router.compare.summary import Summary
from router.config import RouterSettings
from router.log import Log
from router.replay.policy import of_mode
from router.replay.result import result
from router.replay.run import replay
from router.service import Router
from router.trace import Head, Trace
from tests.boundaries import ALLOWING
from tests.stack import ABOUT_LIGHTHOUSE, LIGHTHOUSE

MODES = ("edge_only", "cloud_only", "post_arbitration", "cloud_info_edge_rag")

QUESTIONS = (
    {"id": "paris", "question": "What is the capital of France?", "answers": ["Paris"], "group": "general"},
    {"id": "captain", "question": "Who is the captain of the Wren?", "answers": ["Ilka Marsh"], "group": "device"},
    {"id": "allergy", "question": "What is Tomas Rell allergic to?", "answers": ["penicillin"], "private": True},
    {"id": "missing", "question": "What was never recorded?", "answers": ["this"]},
    {"id": "cat", "question": "Which cat lives on the boat?", "answers": [], "group": "nothing"},
)
EDGE_ANSWERS = {
    "paris": "The capital of France is Paris.",
    "captain": "The captain of the Wren is Ilka Marsh.",
    "allergy": "Tomas Rell is allergic to penicillin.",
    "cat": "A tabby called Felix.",
}
CLOUD_ANSWERS = {"paris": "Paris.", "captain": "I do not know."}


def write_files(directory: Path, latency_s: float = 0.0) -> None:
    for side, answers in (("edge", EDGE_ANSWERS), ("cloud", CLOUD_ANSWERS)):
        lines = [
            {"id": key, "answer": answer, "latency_s": latency_s, "prompt_tokens": 20, "completion_tokens": 8}
            | ({"cost_usd": 0.002} if side == "cloud" else {"logprobs": [-0.1] * 8})
            for key, answer in answers.items()
        ]
        (directory / f"{side}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (directory / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in QUESTIONS))


@asynccontextmanager
async def open_router(
    directory: Path, latency_scale: float = 0.0, corpora: tuple[Path, ...] = ()
) -> AsyncIterator[Router]:
    """A router between two replays; the edge has the demo's crew sheet, the cloud no corpus unless one is given."""
    edge_replay, cloud_replay = directory / "edge.jsonl", directory / "cloud.jsonl"
    async with AsyncExitStack() as opened:
        edge = await EdgeNode.open(
            EdgeSettings(engine="replay", replay_file=edge_replay, latency_scale=latency_scale), directory / "data"
        )
        opened.push_async_callback(edge.close)
        sheet = demo.device_documents() / "crew-sheet.md"
        done = await edge.ingest(Upload(source=sheet.name, data=sheet.read_bytes()))
        assert done.status != "FAILED"
        settings = CloudSettings(
            backend="replay", replay_file=cloud_replay, latency_scale=latency_scale, corpora=corpora
        )
        cloud = await CloudGateway.open(settings, directory / "data")
        opened.push_async_callback(cloud.close)
        records = await Log.open(f"sqlite:///{directory / 'records.db'}")
        opened.push_async_callback(records.close)
        router = Router(edge, cloud, records, ALLOWING, RouterSettings())
        opened.push_async_callback(router.close)
        yield router


async def compare(directory: Path, modes: Sequence[str] = MODES, latency_scale: float = 0.0) -> Summary:
    async with open_router(directory, latency_scale) as router:
        edge, cloud = await router.status()
        questions = read_questions(directory / "q.jsonl")
        return await run_compare(router, questions, modes, directory / "out", head=Head(edge=edge, cloud=cloud))


def rows_in(directory: Path) -> dict[tuple[str, str], Row]:
    lines = (directory / "out" / "records.jsonl").read_text().splitlines()
    rows = {(row.id, row.mode): row for row in map(Row.model_validate_json, lines)}
    assert len(rows) == len(lines)
    return rows


def test_every_mode_is_scored_on_what_was_recorded(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_files(tmp_path)
    summary = asyncio.run(compare(tmp_path))
    rows = rows_in(tmp_path)
    assert len(rows) == 4 * len(MODES) + 1
    assert {mode: rows["paris", mode].score for mode in MODES} == dict.fromkeys(MODES, 1.0)
    assert rows["captain", "edge_only"].score == rows["captain", "cloud_info_edge_rag"].score == 1
    assert rows["captain", "cloud_only"].score == 0
    assert rows["captain", "cloud_info_edge_rag"].grounding == "GROUNDED"
    assert (rows["allergy", "cloud_only"].error, rows["allergy", "edge_only"].error) == ("FAILED_PRECONDITION", "")
    assert rows["missing", "edge_only"].error == "NOT_FOUND"
    assert rows["missing", "edge_only"].score == 0
    assert rows["paris", "cloud_only"].cost_usd == 0.002
    assert rows["paris", "cloud_only"].cost_basis == "SIMULATED"
    assert rows["paris", "post_arbitration"].cloud_generates == 1
    assert rows["paris", "edge_only"].cloud_calls == rows["paris", "edge_only"].cloud_tokens == 0
    assert (summary.modes["edge_only"].n, summary.modes["edge_only"].errors) == (4, 1)
    assert summary.modes["cloud_only"].accuracy.mean == 0.25
    assert summary.environment.left_out == 3
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["modes"]["edge_only"]["n"] == 4


def test_a_comparison_survives_kill_9(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_files(tmp_path, latency_s=0.4)
    program = (
        "import asyncio, pathlib, sys; from tests.real.test_compare import compare; "
        "asyncio.run(compare(pathlib.Path(sys.argv[1]), latency_scale=1.0))"
    )
    records = tmp_path / "out" / "records.jsonl"
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (records.exists() and records.read_bytes().count(b"\n") >= 2):
            assert child.poll() is None
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    before = records.read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    assert 2 <= whole.count(b"\n") < 4 * len(MODES) + 1
    summary = asyncio.run(compare(tmp_path))
    assert records.read_bytes().startswith(whole)
    assert len(rows_in(tmp_path)) == 4 * len(MODES) + 1
    assert {mode: found.n for mode, found in summary.modes.items()} == dict.fromkeys(MODES[:3], 4) | {MODES[3]: 5}


def test_a_replay_of_a_comparison_on_the_real_parts_is_exact(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_files(tmp_path)
    first = asyncio.run(compare(tmp_path, (*MODES, "auto")))
    trace = Trace.read(tmp_path / "out")
    candidates = [of_mode(name) for name in trace.modes]
    found = replay(trace, candidates, trace.head.settings, lambda chosen: Arbiter(Models.open(), chosen))
    again = result(trace, candidates, found, "")
    assert (again.modes, again.pairs, again.groups) == (first.modes, first.pairs, first.groups)
    assert {(row.id, row.mode): row for row in found.rows} == rows_in(tmp_path)


def test_no_mode_helps_the_next_one(tmp_path: Path) -> None:
    """What the cloud informed one mode of would answer for the other: where nothing is isolated, it does."""
    (tmp_path / "data").mkdir()
    write_files(tmp_path)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "lighthouse.txt").write_text(LIGHTHOUSE)
    asked = Graded.model_validate({"id": "year", "turns": [{"text": ABOUT_LIGHTHOUSE}], "answers": ["1871"]})
    teaches, learns = "cloud_info_edge_rag", "edge_only+rag"

    async def main() -> None:
        async with open_router(tmp_path, corpora=(tmp_path / "corpus",)) as router:
            edge, cloud = await router.status()
            questions = [asked, asked.model_copy(update={"id": "again"})]
            await run_compare(router, questions, (teaches, learns), tmp_path / "out", head=Head(edge=edge, cloud=cloud))
            rows = rows_in(tmp_path)
            assert [rows[question.id, teaches].score for question in questions] == [1.0, 1.0]
            assert [rows[question.id, teaches].cloud_calls for question in questions] == [1, 1]
            assert [rows[question.id, learns].score for question in questions] == [0.0, 0.0]

            manner = Manner(warm=True)
            await run_compare(
                router,
                questions,
                (teaches, learns),
                tmp_path / "out2",
                head=Head(edge=edge, cloud=cloud),
                manner=manner,
            )
            _, _, warm = read_run(tmp_path / "out2")
            assert [row.cloud_calls for row in warm if row.mode == teaches + WARM] == [1, 0]
            # Nothing was forgotten in between, so that the other mode finds it: what isolation is there to prevent.
            assert [row.score for row in warm if row.mode == learns + WARM] == [1.0, 1.0]
            assert [row.score for row in warm if row.mode == learns] == [0.0, 0.0]

    asyncio.run(main())
