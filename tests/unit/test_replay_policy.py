"""Settings, tables and programs that decide in a replay; and time that passes at once."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from edgewise.errors import EdgewiseError, InvalidInput, NotFound
from router.compare.questions import Graded
from router.config import RouterSettings
from router.replay.policy import Candidate, of_command, of_mode, of_table, settings_of, unique
from router.replay.virtual import VirtualLoop

QUESTIONS = tuple(
    Graded.model_validate({"id": name, "turns": [{"text": f"What is {name}?"}], "answers": ["x"]})
    for name in ("ann", "bea", "cyd")
)


def modes(candidate: Candidate) -> list[str | None]:
    return [candidate.mode_of(question) for question in QUESTIONS]


def test_a_mode_is_for_every_question_warm_or_not() -> None:
    assert modes(of_mode("agent")) == ["agent"] * 3
    warm = of_mode("cloud_info_edge_rag (warm)")
    assert (warm.name, modes(warm)[0]) == ("cloud_info_edge_rag (warm)", "cloud_info_edge_rag")
    with pytest.raises(InvalidInput, match="there is no mode"):
        of_mode("magic")
    with pytest.raises(InvalidInput, match="twice"):
        unique([of_mode("agent"), of_mode("agent")])


@pytest.mark.parametrize(
    ("text", "decided"),
    [
        ("id,mode\nann,agent\ncyd,edge_only+rag\n", ["agent", None, "edge_only+rag"]),
        ("score,id\n0.7,ann\n0,bea\n-1e-3,cyd\n", ["cloud_only", "edge_only", "edge_only"]),
        ("id,score,mode\nann,0.9,\nbea,,agent\n", ["cloud_only", "agent", None]),
        ("\ufeffid,mode\r\nann,agent\r\n", ["agent", None, None]),
    ],
)
def test_a_table_decides_by_mode_or_score(tmp_path: Path, text: str, decided: list[str | None]) -> None:
    (tmp_path / "theirs.csv").write_text(text, encoding="utf-8")
    candidate = of_table(tmp_path / "theirs.csv", 0.7)
    assert candidate.name == "theirs"
    assert modes(candidate) == decided


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line of headings"),
        ("id\nann\n", "line of headings"),
        ("mode\nagent\n", "line of headings"),
        ("id,mode\nann,magic\n", "line 2: there is no mode"),
        ("id,score\nann,much\n", "line 2: .* neither a mode nor a number"),
        ("id,score\nann,nan\n", "line 2: .* neither a mode nor a number"),
        ("id,score\nann\n", "line 2: .* neither a mode nor a number"),
        ("id,score\nann,1\nann,2\n", "line 3: the id 'ann' is there already"),
        ("score,id\n0.7\n", "line 2: it has no id"),
    ],
)
def test_a_table_at_fault_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "theirs.csv").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        of_table(tmp_path / "theirs.csv", 0.5)


def test_a_program_reads_prompts_and_decides(tmp_path: Path) -> None:
    program = tmp_path / "theirs.py"
    program.write_text(
        "import json, sys\n"
        "asked = [json.loads(line) for line in sys.stdin]\n"
        "assert all(set(one) == {'id', 'question'} for one in asked)\n"
        "said = {'ann': '0.2', 'bea': json.dumps({'mode': 'agent'}), 'cyd': 'cloud_only'}\n"
        "print(*[said[one['id']] for one in asked], sep='\\n')\n"
    )
    candidate = of_command(f"{sys.executable} {program}", QUESTIONS, 0.1)
    assert modes(candidate) == ["cloud_only", "agent", "cloud_only"]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('agent')", "1 lines, for 3 questions"),
        ("print('agent\\nmagic\\nagent')", "line 2 .* no mode `magic`"),
        ("raise SystemExit('no weights')", "failed with 1: no weights"),
        ("print('[]\\n' * 3)", "more lines than asked for"),
    ],
)
def test_a_program_that_fails_is_told_how(tmp_path: Path, program: str, said: str) -> None:
    (tmp_path / "theirs.py").write_text(program)
    with pytest.raises(InvalidInput, match=said):
        of_command(f"{sys.executable} {tmp_path / 'theirs.py'}", QUESTIONS, 0.5)


def test_a_program_sees_no_private_question(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "import sys; print(*['agent' if 'ann' in x else 'auto' for x in sys.stdin], sep='\\n')"
    )
    some = [QUESTIONS[0], QUESTIONS[1].model_copy(update={"private": True}), QUESTIONS[2]]
    candidate = of_command(f"{sys.executable} {tmp_path / 'theirs.py'}", some, 0.5)
    assert [candidate.mode_of(question) for question in some] == ["agent", None, "auto"]


def test_a_program_without_end_is_ended(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("while True: print('agent')")
    with pytest.raises(InvalidInput, match="more lines than asked for"):
        of_command(f"{sys.executable} {tmp_path / 'theirs.py'}", QUESTIONS, 0.5)


def test_a_program_that_is_not_there_is_refused() -> None:
    for command, said in (("", "is empty"), ("/nowhere/at-all", "cannot be run"), ("their 'router", "quote it")):
        with pytest.raises(InvalidInput, match=said):
            of_command(command, QUESTIONS, 0.5)


def test_settings_lie_over_those_of_the_trace(tmp_path: Path) -> None:
    (tmp_path / "arbiter").mkdir()
    (tmp_path / "p.toml").write_text("arbiter = 'arbiter'\nquote = 0.4\n[router]\ntrust_threshold = 0.25\n")
    settings, arbiter = settings_of(tmp_path / "p.toml", RouterSettings(quote=0.1, samples=2))
    assert (settings.trust_threshold, settings.quote, settings.samples) == (0.25, 0.4, 2)
    assert arbiter == tmp_path / "arbiter"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trust_threshold = 2", "trust_threshold"),
        ("trust = 0.5", "trust"),
        ("trust_threshold", "no TOML"),
        ("router = 3", "is a heading"),
        ("arbiter = 'nowhere'", "no directory of a trained arbiter"),
        ("cloud_share = 0.5\nusd_per_error = 1.0", "exclude each other"),
    ],
)
def test_settings_at_fault_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(EdgewiseError, match=said):
        settings_of(tmp_path / "p.toml", RouterSettings())
    with pytest.raises(NotFound):
        settings_of(tmp_path / "nowhere.toml", RouterSettings())


def test_time_passes_at_once_and_in_order() -> None:
    seen: list[tuple[str, float]] = []

    async def one(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, asyncio.get_running_loop().time()))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("slow", 3600.0), ("fast", 60.0)):
                group.create_task(one(name, seconds))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    assert seen == [("fast", 60.0), ("slow", 3600.0)]


def test_threads_are_really_waited_for() -> None:
    def work() -> str:
        time.sleep(0.05)
        return "done"

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(asyncio.to_thread(work)) == "done"


def test_no_time_passes_while_a_thread_is_at_work() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        slow = asyncio.create_task(asyncio.sleep(30))
        async with asyncio.timeout(20):
            await asyncio.to_thread(time.sleep, 0.05)
        worked_until = loop.time()
        await slow
        return worked_until, loop.time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == (0.0, 30.0)


def test_a_thread_that_fails_or_is_given_up_holds_no_time_up() -> None:
    def fail() -> None:
        raise OSError("a broken disk")

    async def main() -> float:
        with pytest.raises(OSError, match="broken"):
            await asyncio.to_thread(fail)
        given_up = asyncio.create_task(asyncio.to_thread(time.sleep, 0.05))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(30)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == 30.0
