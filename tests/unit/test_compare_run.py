"""A comparison over a fake router: order, isolation, journal, resuming, refusals."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from edgewise.errors import (
    CloudUnavailable,
    Conflict,
    EdgewiseError,
    InvalidInput,
    NotFound,
    NotReady,
    Overloaded,
    Withheld,
)
from edgewise.types import CostBasis, Done, Event, Grounding, Question, Record, SideStatus, Tokens, Usage
from router.answering import Origin
from router.compare import figures
from router.compare.comparison import report_again, run_compare
from router.compare.questions import Graded
from router.compare.rows import Journal, Row, open_journal, read_run
from router.compare.runner import Manner, Progress, pairs_of
from router.compare.summary import Summary
from router.meter import SideCall
from router.trace import Head, Trace

MODES = ("edge_only", "cloud_only", "agent")
EDGE = SideStatus(ready=True, model="small")
CLOUD = SideStatus(ready=True, model="large", label="a stand-in with the edge's weights")


def graded(name: str, *answers: str, private: bool | None = None, group: str = "") -> Graded:
    question = {"id": name, "turns": ({"text": f"{name}?"},), "answers": answers, "private": private, "group": group}
    return Graded.model_validate(question)


QUESTIONS = (
    graded("paris", "Paris", group="general"),
    graded("secret", "4417", private=True, group="device"),
    graded("cat", group="nothing"),
)


class FakeRouter:
    """Answers `Paris` to everything; the cloud refuses what is private. `fail` may raise before an answer."""

    def __init__(self, fail: Callable[[Question], EdgewiseError | None] = lambda _: None) -> None:
        self.asked: list[tuple[Question, Origin]] = []
        self.in_flight = self.most_in_flight = self.settlements = 0
        self._fail = fail
        self._records: dict[str, Record] = {}

    async def ask(self, question: Question, origin: Origin = Origin()) -> AsyncIterator[Event]:
        self.asked.append((question, origin))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0.001)
        self.in_flight -= 1
        error = self._fail(question)
        if error:
            raise error
        key = f"record-{len(self.asked)}"
        record = Record(
            record_id=key,
            request_id=question.request_id,
            answer="Paris",
            author="cloud" if question.mode == "cloud_only" else "edge",
            grounding=Grounding.ABSTAINED if question.mode == "agent" else Grounding.OWN_KNOWLEDGE,
            usage=Usage(edge=Tokens(prompt_tokens=10, completion_tokens=2), cloud=Tokens(prompt_tokens=3)),
            cost_usd=0.5 if question.mode == "cloud_only" else 0.0,
            cost_basis=CostBasis.NOTIONAL if question.mode == "cloud_only" else None,
            flops=2e9,
            total_s=1.0,
            first_kept_s=0.5,
            cloud_calls=int(question.mode == "cloud_only"),
            cloud_generates=int(question.mode == "cloud_only"),
        )
        if question.mode == "cloud_only" and question.privacy == "PRIVATE":
            refusal = {"answer": "", "error": "FAILED_PRECONDITION", "total_s": 0.25, "cost_usd": 0.0}
            self._records[key] = record.model_copy(update=refusal)
            raise Withheld("private; ask in edge_only")
        self._records[key] = record
        yield Done(
            answer_id="a", record_id=key, mode=question.mode, author="edge", grounding=Grounding.GROUNDED,
            finish_reason="stop", usage=Usage(), total_s=1.0,
        )  # fmt: skip

    async def record(self, record_id: str) -> Record:
        return self._records[record_id]

    async def record_of_request(self, request_id: str) -> Record | None:
        return next((found for found in self._records.values() if found.request_id == request_id), None)

    async def calls(self, record_id: str) -> tuple[SideCall, ...]:
        return (SideCall(key=record_id, side="edge", kind="embed", request="", started_s=0.0, ended_s=0.5),)

    async def settled(self) -> None:
        self.settlements += 1


def compare(
    router: FakeRouter,
    out: Path,
    *,
    questions: tuple[Graded, ...] = QUESTIONS,
    modes: tuple[str, ...] = MODES,
    manner: Manner = Manner(),
    limit: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    cloud: SideStatus | None = CLOUD,
) -> Summary:
    head = Head(edge=EDGE, cloud=cloud)
    return asyncio.run(
        run_compare(router, questions, modes, out, head=head, manner=manner, limit=limit, on_progress=on_progress)
    )


def rows_in(out: Path) -> dict[tuple[str, str], Row]:
    rows = [Row.model_validate_json(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert len({(row.id, row.mode) for row in rows}) == len(rows)
    return {(row.id, row.mode): row for row in rows}


def test_every_pair_is_asked_once_and_isolated(tmp_path: Path) -> None:
    router = FakeRouter()
    compare(router, tmp_path)
    rows = rows_in(tmp_path)
    assert set(rows) == {("paris", mode) for mode in MODES} | {("secret", mode) for mode in MODES} | {("cat", "agent")}
    assert all(origin.isolated and origin.question_id == question.text[:-1] for question, origin in router.asked)
    assert len({question.request_id for question, _ in router.asked}) == len(rows)
    assert router.most_in_flight == 1


def test_rows_have_the_columns_of_the_contract(tmp_path: Path) -> None:
    compare(FakeRouter(), tmp_path)
    columns = [
        "id", "mode", "answer", "author", "score", "cost_usd", "edge_tokens", "cloud_tokens", "flops", "first_shown_s",
        "first_kept_s", "total_s", "cloud_calls", "retractions", "confidence", "grounding", "cost_basis", "f1",
        "group", "private", "degraded", "error",
    ]  # fmt: skip
    line = json.loads((tmp_path / "records.jsonl").read_text().splitlines()[0])
    assert list(line)[: len(columns)] == columns
    row = rows_in(tmp_path)["paris", "cloud_only"]
    assert (row.score, row.f1, row.edge_tokens, row.cloud_tokens, row.author) == (1.0, 1.0, 12, 3, "cloud")


def test_a_private_question_in_a_cloud_mode_is_a_failed_row(tmp_path: Path) -> None:
    summary = compare(FakeRouter(), tmp_path)
    row = rows_in(tmp_path)["secret", "cloud_only"]
    assert (row.error, row.score, row.private, row.total_s) == ("FAILED_PRECONDITION", 0.0, True, 0.25)
    assert (summary.modes["cloud_only"].n, summary.modes["cloud_only"].errors) == (2, 1)
    assert summary.modes["cloud_only"].accuracy.mean == 0.5


def test_a_failure_without_a_record_is_a_row_too(tmp_path: Path) -> None:
    summary = compare(FakeRouter(lambda _: Overloaded("busy")), tmp_path, modes=("agent",))
    row = rows_in(tmp_path)["cat", "agent"]
    assert (row.error, row.reason, row.score, row.cost_usd) == ("RESOURCE_EXHAUSTED", "busy", 0.0, None)
    assert summary.modes["agent"].latency_s.p50 is None


def test_records_that_cannot_be_written_end_the_run_and_are_no_fault_of_a_mode(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="database"):
        compare(FakeRouter(lambda _: NotReady("the record database failed")), tmp_path)
    assert rows_in(tmp_path) == {}


def test_abstaining_is_right_only_where_nothing_answers(tmp_path: Path) -> None:
    compare(FakeRouter(), tmp_path)
    assert rows_in(tmp_path)["cat", "agent"].score == 1


def test_the_order_is_interleaved_and_given_by_the_seed() -> None:
    questions = tuple(graded(f"q{index}", "x") for index in range(12))
    order = pairs_of(questions, MODES, Manner(seed=1))
    assert order == pairs_of(questions, MODES, Manner(seed=1)) != pairs_of(questions, MODES, Manner(seed=2))
    for start in range(0, len(order), len(MODES)):
        block = order[start : start + len(MODES)]
        assert len({pair.question.id for pair in block}) == 1
        assert {pair.mode for pair in block} == set(MODES)
    assert len({tuple(pair.mode for pair in order[start : start + 3]) for start in range(0, len(order), 3)}) > 1


def test_an_interrupted_run_resumes_without_loss_or_repetition(tmp_path: Path) -> None:
    class Killed(BaseException): ...

    def die_at_third(progress: Progress) -> None:
        if progress.done == 3:
            raise Killed

    with pytest.raises(Killed):
        compare(FakeRouter(), tmp_path, on_progress=die_at_third)
    before = (tmp_path / "records.jsonl").read_bytes()
    assert len(before.splitlines()) == 3
    unfinished = report_again(tmp_path)
    assert unfinished.environment.to_come == 4
    assert "not finished: 4 answers still to come" in figures.caveats(unfinished.environment)[0]
    (tmp_path / "records.jsonl").write_bytes(before + before.splitlines()[0][:40])

    router, seen = FakeRouter(), list[Progress]()
    assert compare(router, tmp_path, on_progress=seen.append).environment.to_come == 0
    assert (seen[0].done, seen[0].total, seen[0].last) == (3, 7, None)
    assert (seen[-1].done, len(router.asked)) == (7, 4)
    assert (tmp_path / "records.jsonl").read_bytes().startswith(before)
    assert len(rows_in(tmp_path)) == 7


def test_a_finished_run_asks_nothing_again_and_summarises_alike(tmp_path: Path) -> None:
    first = compare(FakeRouter(), tmp_path)
    router = FakeRouter()
    assert compare(router, tmp_path) == first
    assert router.asked == []
    assert report_again(tmp_path) == first


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (partial(compare, questions=QUESTIONS[:2]), "question_set"),
        (partial(compare, limit=1), "question_set"),
        (partial(compare, modes=("edge_only",)), "modes"),
        (partial(compare, manner=Manner(seed=9)), "seed"),
        (partial(compare, manner=Manner(concurrency=2)), "concurrency"),
        (partial(compare, manner=Manner(warm=True)), "warm"),
        (partial(compare, cloud=None), "cloud"),
    ],
)
def test_the_directory_of_another_run_is_refused(
    tmp_path: Path, other: Callable[[FakeRouter, Path], Summary], named: str
) -> None:
    compare(FakeRouter(), tmp_path)
    before = (tmp_path / "records.jsonl").read_bytes()
    with pytest.raises(Conflict, match=named):
        other(FakeRouter(), tmp_path)
    assert (tmp_path / "records.jsonl").read_bytes() == before


def test_a_line_damaged_in_the_middle_is_refused_by_number(tmp_path: Path) -> None:
    compare(FakeRouter(), tmp_path)
    lines = (tmp_path / "records.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "records.jsonl").write_text("".join([lines[0], "{}\n", *lines[1:]]))
    with pytest.raises(InvalidInput, match="line 2"):
        compare(FakeRouter(), tmp_path)


def test_foreign_records_and_a_second_writer_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "records.jsonl").write_text("something else\n")
    with pytest.raises(Conflict, match="not written by a comparison"):
        compare(FakeRouter(), tmp_path / "mine")

    compare(FakeRouter(), tmp_path / "ours")
    run, questions, _ = read_run(tmp_path / "ours")
    with open_journal(tmp_path / "ours", run, questions), pytest.raises(Conflict, match="another comparison"):
        compare(FakeRouter(), tmp_path / "ours")


def test_a_full_disk_stops_the_run_and_says_how_to_go_on(tmp_path: Path) -> None:
    compare(FakeRouter(), tmp_path)
    run, _, rows = read_run(tmp_path)
    with Path("/dev/full").open("ab", buffering=0) as full:
        journal = Journal(full, Path("/dev/full"), run, [])
        with pytest.raises(NotReady, match=r"No space left.*to resume"):
            journal.append(rows[0])
        assert journal.rows == []


def test_nothing_to_compare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing to compare"):
        compare(FakeRouter(), tmp_path, limit=0)
    with pytest.raises(InvalidInput, match="twice"):
        compare(FakeRouter(), tmp_path, modes=("agent", "agent"))
    with pytest.raises(InvalidInput, match="there is no mode"):
        compare(FakeRouter(), tmp_path, modes=("magic",))
    with pytest.raises(InvalidInput, match="reads sources"):
        compare(FakeRouter(), tmp_path, modes=("edge_only",), questions=QUESTIONS[2:])
    with pytest.raises(NotFound):
        report_again(tmp_path)


def test_a_run_without_its_records_says_so(tmp_path: Path) -> None:
    compare(FakeRouter(), tmp_path)
    (tmp_path / "records.jsonl").unlink()
    with pytest.raises(NotReady, match=r"records\.jsonl: No such file.*compare again"):
        report_again(tmp_path)


def test_a_transient_failure_is_kept_as_it_was(tmp_path: Path) -> None:
    compare(FakeRouter(lambda question: CloudUnavailable("down") if question.mode == "cloud_only" else None), tmp_path)
    assert rows_in(tmp_path)["paris", "cloud_only"].error == "UNAVAILABLE"
    assert rows_in(tmp_path)["paris", "edge_only"].error == ""


def test_a_run_leaves_its_trace(tmp_path: Path) -> None:
    compare(FakeRouter(), tmp_path)
    trace, rows = Trace.read(tmp_path), rows_in(tmp_path)
    assert (trace.head.edge, trace.head.cloud) == (EDGE, CLOUD)
    assert tuple(trace.questions.values()) == QUESTIONS
    assert {key: found.row for key, found in trace.answers.items()} == rows
    assert {key for key, calls in trace.calls.items() for _ in calls} == {row.record_id for row in rows.values()}


def test_a_last_line_without_its_end_counts_if_it_is_whole(tmp_path: Path) -> None:
    compare(FakeRouter(), tmp_path)
    path = tmp_path / "trace.jsonl"
    whole = path.read_bytes()
    answers = Trace.read(tmp_path).answers
    path.write_bytes(whole[:-1])
    assert Trace.read(tmp_path).answers == answers
    path.write_bytes(whole[:-2])
    assert len(Trace.read(tmp_path).answers) == len(answers) - 1


def test_a_trace_is_packed_or_not_whatever_it_is_called(tmp_path: Path) -> None:
    compare(FakeRouter(), tmp_path)
    whole = (tmp_path / "trace.jsonl").read_bytes()
    for name, data in (("plain.jsonl.gz", whole), ("packed.jsonl", gzip.compress(whole))):
        (tmp_path / name).write_bytes(data)
        assert Trace.read(tmp_path / name) == Trace.read(tmp_path)
    (tmp_path / "packed.jsonl").write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(InvalidInput, match="cannot be read"):
        Trace.read(tmp_path / "packed.jsonl")


@pytest.mark.parametrize("other", [b"something else\n", b'{"line":"trace","format":2}\n'])
def test_something_else_than_a_trace_is_left_as_it_is(tmp_path: Path, other: bytes) -> None:
    (tmp_path / "trace.jsonl").write_bytes(other)
    with pytest.raises(Conflict, match=r"something else than a trace.*another --out"):
        compare(FakeRouter(), tmp_path)
    assert (tmp_path / "trace.jsonl").read_bytes() == other


def test_a_killed_run_leaves_no_row_without_its_calls(tmp_path: Path) -> None:
    compare(FakeRouter(), tmp_path)
    whole = (tmp_path / "trace.jsonl").read_bytes()
    (tmp_path / "trace.jsonl").write_bytes(whole + b'{"line": "call", "quest')
    lines = (tmp_path / "records.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "records.jsonl").write_bytes(b"".join(lines[:-1]))
    router = FakeRouter()
    compare(router, tmp_path)
    assert len(router.asked) == 1
    assert {key: found.row for key, found in Trace.read(tmp_path).answers.items()} == rows_in(tmp_path)


def test_several_in_flight_are_said_and_none_is_lost(tmp_path: Path) -> None:
    router = FakeRouter()
    summary = compare(router, tmp_path, manner=Manner(concurrency=3))
    assert router.most_in_flight == 3
    assert summary.environment.concurrency == 3
    assert len(rows_in(tmp_path)) == 7


def test_the_warm_pass_is_apart_and_every_mode_begins_it_with_nothing(tmp_path: Path) -> None:
    router, forgotten = FakeRouter(), list[int]()

    async def forget() -> None:
        forgotten.append(len(router.asked))

    summary = compare(router, tmp_path, manner=Manner(warm=True, forget=forget))
    assert list(summary.modes) == [*MODES, *(f"{mode} (warm)" for mode in MODES)]
    warm = [(question.mode, origin) for question, origin in router.asked if not origin.isolated]
    assert [mode for mode, _ in warm] == ["edge_only"] * 2 + ["cloud_only"] * 2 + ["agent"] * 3
    assert {origin.cache_key(mode) for mode, origin in warm} == {f"{mode}/warm" for mode in MODES}
    assert forgotten == [7, 9, 11]
    assert router.settlements == 7


def test_a_warm_pass_that_was_interrupted_keeps_what_its_mode_has_learned(tmp_path: Path) -> None:
    class Killed(BaseException): ...

    def die_at_ninth(progress: Progress) -> None:
        if progress.done == 12:
            raise Killed

    forgotten = list[int]()

    async def forget() -> None:
        forgotten.append(1)

    with pytest.raises(Killed):
        compare(FakeRouter(), tmp_path, manner=Manner(warm=True, forget=forget), on_progress=die_at_ninth)
    compare(FakeRouter(), tmp_path, manner=Manner(warm=True, forget=forget))
    assert len(forgotten) == 3
    assert len(rows_in(tmp_path)) == 14
