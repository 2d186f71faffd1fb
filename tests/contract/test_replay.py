"""What was recorded is answered again by the real router, exactly, and nothing else is made up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from edgewise.errors import CloudUnavailable, Conflict, EdgeUnavailable, NotFound, NotReady, Withheld
from edgewise.types import Grade, Privacy
from router.compare.comparison import run_compare
from router.compare.questions import Graded
from router.compare.rows import read_run
from router.compare.summary import Summary
from router.config import RouterSettings
from router.replay.policy import Candidate, of_mode
from router.replay.result import MISSING, result, write
from router.replay.run import Replayed, replay
from router.trace import Answered, Head, Trace
from tests.arbiters import an_arbiter
from tests.logs import call, record
from tests.routers import VARIANTS, Place, Trying, a_cloud, an_edge, place, question
from tests.sides import UNSURE, FakeCloud, FakeEdge, Say, passage


def graded(name: str, *answers: str, private: bool | None = None) -> Graded:
    turns = ({"text": f"When does the ferry {name} sail?"},)
    return Graded.model_validate({"id": name, "turns": turns, "answers": answers, "private": private, "group": name})


QUESTIONS = (graded("ann", "nine"), graded("bea", "noon"), graded("cyd", "nine", private=True), graded("dot"))


def recorded(
    out: Path,
    modes: Sequence[str],
    edge: FakeEdge | None = None,
    cloud: FakeCloud | None = None,
    settings: RouterSettings = RouterSettings(),
) -> Summary:
    async def main() -> Summary:
        async with place(out, edge or an_edge(UNSURE), cloud or a_cloud(), settings) as at:
            sides = await at.router.status()
            head = Head(edge=sides[0], cloud=sides[1] if sides[1].ready else None, settings=settings)
            return await run_compare(at.router, QUESTIONS, modes, out / "out", head=head)

    return asyncio.run(main())


def replayed(
    out: Path, names: Sequence[str], settings: RouterSettings = RouterSettings()
) -> tuple[Trace, list[Candidate], Replayed]:
    trace, candidates = Trace.read(out / "out"), [of_mode(name) for name in names]
    return trace, candidates, replay(trace, candidates, settings, an_arbiter)


def by_question(found: Replayed, mode: str) -> dict[str, tuple[object, ...]]:
    return {row.id: (row.author, row.answer, row.cost_usd) for row in found.rows if row.mode == mode}


@pytest.mark.parametrize("logprob", [UNSURE, -0.05])
def test_a_replay_of_a_comparison_reproduces_its_summary_exactly(tmp_path: Path, logprob: float) -> None:
    first = recorded(tmp_path, VARIANTS, an_edge(logprob))
    trace, candidates, found = replayed(tmp_path, Trace.read(tmp_path / "out").modes)
    again = result(trace, candidates, found, "")
    assert (again.modes, again.pairs, again.groups) == (first.modes, first.pairs, first.groups)
    assert again.environment.question_set == first.environment.question_set
    assert again.environment.left_out == first.environment.left_out
    assert again.environment.replaying is not None
    assert again.environment.replaying.covered == again.environment.replaying.timed == dict.fromkeys(VARIANTS, 1.0)
    _, _, rows = read_run(tmp_path / "out")
    assert found.rows == rows
    assert found.missing == []


def test_a_cloud_that_was_down_is_down_again(tmp_path: Path) -> None:
    cloud = a_cloud()
    cloud.down = CloudUnavailable("gone fishing")
    first = recorded(tmp_path, ("cloud_only", "cloud_info_edge_rag", "post_arbitration"), cloud=cloud)
    trace, candidates, found = replayed(tmp_path, tuple(first.modes))
    assert result(trace, candidates, found, "").modes == first.modes
    assert all(row.degraded for row in found.rows if not row.error)


def test_another_threshold_is_scored_without_asking_anybody(tmp_path: Path) -> None:
    recorded(tmp_path, ("edge_only", "cloud_only", "pre_arbitration"), settings=RouterSettings(gain_threshold=0.9))
    never, always = RouterSettings(gain_threshold=0.9), RouterSettings(gain_threshold=0.1)
    _, _, kept = replayed(tmp_path, ("pre_arbitration", "edge_only"), never)
    assert by_question(kept, "pre_arbitration") == by_question(kept, "edge_only")
    assert kept.timed["pre_arbitration"] == 3
    _, _, sent = replayed(tmp_path, ("pre_arbitration", "cloud_only"), always)
    public = ("ann", "bea")
    assert [by_question(sent, "pre_arbitration")[name] for name in public] == [
        by_question(sent, "cloud_only")[name] for name in public
    ]
    assert all(row.cost_usd for row in sent.rows if row.id in public)
    [withheld] = [row for row in sent.rows if (row.id, row.mode) == ("cyd", "pre_arbitration")]
    assert (withheld.author, withheld.degraded, withheld.cost_usd) == ("edge", True, 0.0)
    assert sent.timed["pre_arbitration"] == 1, "only the one that stayed took what was measured"


def test_both_sides_at_once_take_as_long_as_the_slower_one(tmp_path: Path) -> None:
    edge, cloud = an_edge(UNSURE), a_cloud(Say("Nobody sails before noon", delay_s=0.2))
    edge.answers = [Say("The ferry sails at nine", logprob=UNSURE, delay_s=0.15)]
    recorded(tmp_path, ("edge_only", "cloud_only"), edge, cloud)
    trace, _, found = replayed(tmp_path, ("post_arbitration",))
    assert found.covered("post_arbitration") == 1
    spent = {(row.row.id, row.row.mode): row.row.total_s for row in trace.answers.values()}
    for row in found.rows:
        if row.id != "cyd":
            assert row.author == "cloud"
            assert 0.2 <= row.total_s < spent[row.id, "cloud_only"] + spent[row.id, "edge_only"]
            assert row.cloud_generates == row.retractions == 1


def test_what_was_never_asked_is_missing_and_not_made_up(tmp_path: Path) -> None:
    recorded(tmp_path, ("edge_only",))
    trace, candidates, found = replayed(tmp_path, ("edge_only", "cloud_only"))
    assert {row.mode for row in found.rows if not row.error} == {"edge_only"}
    assert found.covered("cloud_only") == pytest.approx(1 / 3), "the private one is refused without any call"
    assert {(one.question, one.side, one.kind) for one in found.missing} == {
        ("ann", "cloud", "generate"), ("bea", "cloud", "generate"),
    }  # fmt: skip
    summary = result(trace, candidates, found, "")
    write(tmp_path / "replayed", trace, found, summary)
    lines = (tmp_path / "replayed" / MISSING).read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == [one.key for one in found.missing]
    assert summary.environment.replaying is not None
    assert summary.environment.replaying.missing == 2
    assert "ferry" in found.missing[0].asked


def test_a_replay_never_takes_the_place_of_a_comparison(tmp_path: Path) -> None:
    summary = recorded(tmp_path, ("edge_only",))
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    trace, candidates, found = replayed(tmp_path, ("edge_only",))
    again = result(trace, candidates, found, "")
    with pytest.raises(Conflict, match=r"holds a comparison.*another --out"):
        write(tmp_path / "out", trace, found, again)
    assert {path: path.read_bytes() for path in before} == before
    (tmp_path / "a file").touch()
    with pytest.raises(NotReady, match="another --out"):
        write(tmp_path / "a file", trace, found, again)
    write(tmp_path / "again", trace, found, again)
    write(tmp_path / "again", trace, found, again)
    assert again.modes == summary.modes


def test_nothing_covered_is_an_error_that_says_what_there_is(tmp_path: Path) -> None:
    recorded(tmp_path, ("edge_only",))
    trace, candidates, found = replayed(tmp_path, ("cloud_info_edge_rag",))
    with pytest.raises(NotFound, match=r"calls are missing.*answers in edge_only"):
        result(trace, candidates, found, "")


def test_a_replay_never_replaces_the_comparison_that_was_paid_for(tmp_path: Path) -> None:
    recorded(tmp_path, ("edge_only", "cloud_only"))
    out = tmp_path / "out"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    trace, candidates, found = replayed(tmp_path, ("edge_only",))
    with pytest.raises(Conflict, match="choose another --out"):
        write(out, trace, found, result(trace, candidates, found, ""))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_calls_of_another_model_are_left_out_and_counted(tmp_path: Path) -> None:
    recorded(tmp_path, ("edge_only",))
    lines = (tmp_path / "out" / "trace.jsonl").read_text().splitlines()
    head = json.loads(lines[0])
    head["edge"]["model_hash"] = "another"
    (tmp_path / "out" / "trace.jsonl").write_text("\n".join([json.dumps(head), *lines[1:]]) + "\n")
    trace, _, found = replayed(tmp_path, ("edge_only",))
    assert trace.of_other_models == 3
    assert found.rows == []


def test_a_router_from_elsewhere_decides_question_by_question(tmp_path: Path) -> None:
    recorded(tmp_path, ("edge_only", "cloud_only"))
    trace = Trace.read(tmp_path / "out")
    decisions = {"ann": "edge_only", "bea": "cloud_only"}
    theirs = Candidate("theirs", lambda question: decisions.get(question.id))
    found = replay(trace, [theirs], RouterSettings(), an_arbiter)
    assert {(row.id, row.mode, row.author) for row in found.rows} == {
        ("ann", "theirs", "edge"), ("bea", "theirs", "cloud"),
    }  # fmt: skip
    assert found.undecided["theirs"] == 2
    assert found.covered("theirs") == 0.5


# --- from the log -----------------------------------------------------------------------------------------------------


def test_the_log_is_a_trace_in_which_grades_are_scores(tried: Trying, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        first = await place.ask(question("edge_only", text="Who sails?"))
        await place.ask(question("cloud_only", text="Who sails?"))
        await place.ask(question("edge_only", text="A secret?", privacy="PRIVATE"))
        for text in ("Who rows?", "And why?"):
            talk = await place.ask(question("edge_only", text=text, conversation_id="talk"))
        await place.door.grade(Grade(record_id=first.done.record_id, grader="me", score=0.25))
        lines = [line async for line in place.door.trace()]
        assert lines[-1] == ("", 1)
        (tmp_path / "log.jsonl").write_text("".join(f"{line}\n" for line, _ in lines[:-1]))
        trace = Trace.read(tmp_path / "log.jsonl")
        assert "A secret?" not in (tmp_path / "log.jsonl").read_text()
        assert [one.text for one in trace.questions.values()] == ["Who sails?", "Who rows?", "And why?"]
        assert list(trace.questions.values())[-1].turns[0].text == "Who rows?"
        assert talk.done.record_id == list(trace.answers.values())[-1].row.record_id
        with_private = [line async for line in place.door.trace(with_private=True, mode="edge_only")]
        assert sum("A secret?" in line for line, _ in with_private) > 0
        assert not any(json.loads(line).get("mode") == "cloud_only" for line, _ in with_private[:-1])

    tried(work, an_edge(UNSURE))
    trace = Trace.read(tmp_path / "log.jsonl")
    candidates = [of_mode("edge_only"), of_mode("cloud_only"), of_mode("pre_arbitration")]
    settings = RouterSettings(gain_threshold=0.9)
    found = replay(trace, candidates, settings, an_arbiter)
    scores = {(trace.questions[row.id].text, row.mode): row.score for row in found.rows}
    assert scores["Who sails?", "edge_only"] == scores["Who sails?", "pre_arbitration"] == 0.25
    assert scores["Who sails?", "cloud_only"] is None
    assert scores["And why?", "edge_only"] is None
    assert {mode: found.covered(mode) for mode in ("edge_only", "cloud_only")} == {
        "edge_only": 1.0, "cloud_only": pytest.approx(1 / 3),
    }  # fmt: skip
    ungraded = result(trace, candidates, found, "").modes["cloud_only"]
    assert (ungraded.n, ungraded.ungraded, ungraded.accuracy.mean) == (1, 1, None)


def test_no_word_of_an_earlier_private_turn_or_of_a_private_passage_is_in_a_trace(tried: Trying) -> None:
    """Though the record itself is of a question that is not private, and says no private word."""

    async def work(place: Place) -> None:
        await place.ask(question("edge_only", text="The code is 4417.", privacy="PRIVATE", conversation_id="talk"))
        with pytest.raises(Withheld):
            await place.ask(question("cloud_only", text="Repeat it?", conversation_id="talk"))
        place.edge.passages = (passage("The door opens with 9920.", label=Privacy.PRIVATE),)
        place.edge.answers = [Say("It opens", after=1, error=EdgeUnavailable("gone"))]
        with pytest.raises(EdgeUnavailable):
            await place.ask(question("edge_only+rag", text="When does the door open?"))
        place.edge.answers = [Say("Nobody", logprob=UNSURE)]
        await place.ask(question("edge_only", text="Who rows?"))
        assert [one.privacy for one in await place.records()][:3] == [Privacy.UNKNOWN] * 3
        without = [line async for line in place.door.trace()]
        assert without[-1] == ("", 3)
        assert sum("Who rows?" in line for line, _ in without) > 0
        assert not [line for line, _ in without if "4417" in line or "9920" in line or "Repeat" in line]
        everything = "\n".join([line async for line, _ in place.door.trace(with_private=True)])
        assert all(word in everything for word in ("4417", "9920", "Repeat"))
        answers = [one for one in map(json.loads, everything.splitlines()) if one["line"] == "answer"]
        failed = [one["row"]["score"] for one in answers if one["row"]["error"]]
        assert failed == [None, None], "nobody graded these, and no estimate may count them as wrong"

    tried(work, an_edge(UNSURE))


@pytest.mark.parametrize(("unknown", "left_out"), [("allow", 2), ("hold", 3)])
def test_what_the_policy_holds_is_in_no_trace(tried: Trying, unknown: Literal["allow", "hold"], left_out: int) -> None:
    """Also of records from before there was a detector."""

    async def work(place: Place) -> None:
        looked = '{"text":{"value":"who?","label":"UNKNOWN","sources":[]}}'
        for name, asked, found in (
            ("plain", "Who sails?", "{}"), ("asked", "Is ada@example.org his?", "{}"),
            ("found", "Who rows?", '{"passages":[{"text":{"value":"ada@example.org","label":"UNKNOWN"}}]}'),
        ):  # fmt: skip
            made = call("k", kind="retrieve", request=looked, response=found)
            await place.log.write(record(name, question=asked, mode_asked="edge_only"), (made,))
        lines = [line async for line in place.door.trace()]
        assert lines[-1] == ("", left_out)
        assert "ada@example.org" not in "".join(line for line, _ in lines)
        assert ("Who sails?" in "".join(line for line, _ in lines)) is (unknown == "allow")
        with_private = [line async for line, _ in place.door.trace(with_private=True)]
        assert "ada@example.org" in "".join(with_private)

    tried(work, unknown=unknown)


def test_of_a_question_that_is_asked_again_every_lot_counts(tmp_path: Path) -> None:
    recorded(tmp_path, ("edge_only", "cloud_only"))
    path = tmp_path / "out" / "trace.jsonl"
    trace = Trace.read(path)
    right, wrong = (trace.answers["ann", mode].row for mode in ("edge_only", "cloud_only"))
    lots = [
        Answered(row=row.model_copy(update={"score": score}), propensity=odds, experiment="pilot", arm=row.mode)
        for row, score, odds, times in ((right, 1.0, 0.2, 2), (right, 0.0, 0.2, 2), (wrong, 0.0, 0.8, 16))
        for _ in range(times)
    ]
    path.write_bytes(path.read_bytes() + b"".join(one.model_dump_json().encode() + b"\n" for one in lots))
    trace, candidates, found = replayed(tmp_path, ("edge_only", "cloud_only"))
    replaying = result(trace, candidates, found, "").environment.replaying
    assert replaying is not None
    edge, cloud = (replaying.off_policy[mode] for mode in ("edge_only", "cloud_only"))
    assert (edge.n, edge.matched, cloud.matched) == (20, 4, 16)
    assert edge.mean == pytest.approx(0.5)
    assert edge.unbiased == pytest.approx(0.5)
    assert cloud.mean == 0.0
