"""The commands that ask, teach, look back and grade: beside a running daemon, and without one."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pyarrow import parquet

from edgewise.types import Record
from tests.stack import (
    ABOUT_LIGHTHOUSE,
    ABOUT_WORKSHOP,
    EDGEWISE,
    WORKSHOP,
    Daemon,
    edgewise,
    environment,
    informed,
    up,
)

PARIS = "What is the capital of France?"
DONE = {
    "record_id", "mode", "author", "confidence", "grounding", "finish_reason", "usage", "cost_usd", "cost_basis",
    "first_shown_s", "first_kept_s", "total_s", "degraded", "reason",
}  # fmt: skip


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with informed(tmp_path_factory.mktemp("cli") / "data") as started:
        yield started


def fails(code: int, words: str, *arguments: str, data_dir: Path, stdin: str | bytes = "", **settings: str) -> None:
    """A command ends with a code, says why in one message, and prints nothing else."""
    done = edgewise(*arguments, data_dir=data_dir, stdin=stdin, settings=settings)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


# --- asking -----------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_the_answer_and_nothing_else(daemon: Daemon) -> None:
    for arguments, stdin in ((("ask", ABOUT_WORKSHOP), ""), (("ask", "-"), ABOUT_WORKSHOP)):
        done = edgewise(*arguments, "--mode", "post_arbitration", data_dir=daemon.data_dir, stdin=stdin)
        assert done.returncode == 0, done.stderr
        record = newest(daemon)
        assert record.question == ABOUT_WORKSHOP
        assert done.stdout == f"{record.answer}\n"
        assert record.record_id in done.stderr


def test_json_has_what_the_contract_says(daemon: Daemon) -> None:
    done = edgewise("ask", ABOUT_LIGHTHOUSE, "--mode", "cloud_info_edge_rag", "--json", data_dir=daemon.data_dir)
    shown = json.loads(done.stdout)
    assert set(shown) >= DONE | {"answer", "citations", "steps"}
    assert set(shown["usage"]) == {"edge", "cloud"}
    [cited] = shown["citations"]
    [span] = cited["spans"]
    assert shown["answer"] in cited["text"]["value"][span["start"] : span["end"]]
    assert (shown["author"], shown["grounding"]) == ("edge", "GROUNDED")
    assert [one["origin"] for one in shown["citations"]] == ["cloud"]
    done = edgewise("ask", PARIS, "--mode", "edge_only", "--json", data_dir=daemon.data_dir)
    assert json.loads(done.stdout)["usage"]["edge"]["prompt_tokens"] > 0


def test_steps_say_what_was_decided(daemon: Daemon) -> None:
    done = edgewise("ask", PARIS, "--mode", "pre_arbitration", "--steps", data_dir=daemon.data_dir)
    assert re.search(r"\[router\] decide: .* threshold=", done.stderr)


def test_sources_are_named(daemon: Daemon) -> None:
    done = edgewise("ask", ABOUT_WORKSHOP, "--mode", "cloud_info_edge_rag", data_dir=daemon.data_dir)
    assert re.search(r'workshop\.md \(edge\): ".+"$', done.stderr, re.MULTILINE)


def test_bad_questions(daemon: Daemon) -> None:
    place = daemon.data_dir
    fails(2, "edge_only, cloud_only", "ask", "x", "--mode", "best", data_dir=place)
    fails(2, "empty", "ask", "", data_dir=place)
    fails(2, "UTF-8", "ask", "-", data_dir=place, stdin=b"caf\xe9")
    fails(2, "conversation_id", "ask", "x", "--conversation", "c" * 201, data_dir=place)
    fails(2, "limit is", "ask", "-", data_dir=place, stdin="x" * 10_000_000)
    fails(1, "may leave", "ask", PARIS, "--private", "--mode", "cloud_only", data_dir=place)
    fails(1, "max_cost_usd", "ask", PARIS, "--max-cost-usd", "0", "--mode", "cloud_only", data_dir=place)


def test_bad_settings(tmp_path: Path) -> None:
    (tmp_path / "misspelt.toml").write_text('[privacy]\nunknwon = "hold"\n')
    misspelt = {"EDGEWISE_CONFIG": str(tmp_path / "misspelt.toml")}
    fails(2, "privacy.unknwon is not a setting", "log", data_dir=tmp_path / "data", **misspelt)
    fails(2, "edge.threads", "log", data_dir=tmp_path / "data", EDGEWISE_EDGE__THREADS="0")


# --- documents, records, grades ---------------------------------------------------------------------------------------


def test_documents_go_to_the_daemon(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("The boathouse is painted green.")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "odd.xyz").write_bytes(b"\0\1")
    done = edgewise("ingest", tmp_path, tmp_path / "missing.txt", data_dir=daemon.data_dir)
    assert done.returncode == 1
    assert done.stdout == "1 ingested (1 passages), 0 unchanged, 0 deleted, 1 skipped, 2 failed\n"
    assert "  skipped: no loader for .xyz\n" in done.stderr
    for name in ("empty.txt", "missing.txt"):
        assert re.search(rf"{name}: \w", done.stderr)
    done = edgewise("ingest", tmp_path / "good.md", "--json", data_dir=daemon.data_dir)
    assert done.returncode == 0
    (shown,) = json.loads(done.stdout)
    assert (shown["status"], Path(shown["source"])) == ("UNCHANGED", tmp_path / "good.md")


def test_documents_are_listed_by_the_ids_that_forget_takes(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "shed.md"
    file.write_text("The shed is painted red.")
    edgewise("ingest", file, "--collection", "sheds", "--private", data_dir=daemon.data_dir)
    listed = edgewise("documents", "--collection", "sheds", data_dir=daemon.data_dir).stdout
    found = re.fullmatch(r"(\w{32})  sheds · private · 1 passages · \S+\n  (.*)\n", listed)
    assert found is not None
    assert Path(found[2]) == file
    every = json.loads(edgewise("documents", "--json", data_dir=daemon.data_dir).stdout)
    assert found[1] in [document["id"] for document in every]
    assert edgewise("forget", "--document", found[1], data_dir=daemon.data_dir).returncode == 0
    done = edgewise("documents", "--collection", "sheds", data_dir=daemon.data_dir)
    assert (done.returncode, done.stdout) == (
        0,
        "no documents in the collection sheds; add some with `edgewise ingest`\n",
    )


def test_a_record_is_shown_and_graded(daemon: Daemon) -> None:
    edgewise("ask", PARIS, "--mode", "cloud_only", data_dir=daemon.data_dir)
    key = newest(daemon).record_id
    fails(2, "`up`, `down`", "grade", key, "1.5", data_dir=daemon.data_dir)
    fails(1, "no record", "grade", "nothing", "up", data_dir=daemon.data_dir)
    assert edgewise("grade", key, "up", "--grader", "ada", data_dir=daemon.data_dir).returncode == 0
    assert edgewise("grade", key, "0.5", "--comment", "so so", data_dir=daemon.data_dir).returncode == 0
    whole = json.loads(edgewise("log", key, data_dir=daemon.data_dir).stdout)
    assert [(grade["score"], grade["comment"]) for grade in whole["grades"]] == [(1, ""), (0.5, "so so")]
    done = edgewise("log", "--mode", "cloud_only", data_dir=daemon.data_dir)
    assert re.search(
        rf"^{key}  cloud_only · cloud · .* · graded 0\.75\n  {re.escape(PARIS)}$", done.stdout, re.MULTILINE
    )
    assert "edge_only" not in done.stdout


def test_records_are_exported_from_a_running_daemon(daemon: Daemon, tmp_path: Path) -> None:
    edgewise("ask", PARIS, "--mode", "edge_only", data_dir=daemon.data_dir)
    done = edgewise("log", "--export", "jsonl", "--limit", "1", data_dir=daemon.data_dir)
    assert done.returncode == 0, done.stderr
    row, record = json.loads(done.stdout), newest(daemon)
    assert (row["record_id"], row["answer"], row["total_s"]) == (record.record_id, record.answer, record.total_s)
    out = tmp_path / "records.parquet"
    done = edgewise("log", "--export", "parquet", "--out", out, "--mode", "edge_only", data_dir=daemon.data_dir)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert parquet.read_table(out, columns=["record_id"]).to_pylist()[0] == {"record_id": record.record_id}
    assert edgewise("log", "--since", "9999-01-01", data_dir=daemon.data_dir).stdout.startswith("no records since 9")
    fails(2, "there is no mode `best`", "log", "--mode", "best", data_dir=daemon.data_dir)


# --- chat -------------------------------------------------------------------------------------------------------------


def test_chat_remembers_and_goes_on_after_an_error(daemon: Daemon) -> None:
    lines = f"I am Ottoline.\n\n/mode nonsense\n{PARIS}\n/mode edge_only\nWhat is my name?\n/quit\nnever asked\n"
    done = edgewise("chat", "--mode", "edge_only", data_dir=daemon.data_dir, stdin=lines)
    assert done.returncode == 0, done.stderr
    assert "no mode `nonsense`" in done.stderr
    second, first = records(daemon, 2)
    assert (first.question, second.question) == ("I am Ottoline.", "What is my name?")
    assert done.stdout == f"{first.answer}\n{second.answer}\n"
    assert first.conversation_id == second.conversation_id != ""
    assert first.conversation_id in done.stderr
    resumed = edgewise("chat", "--conversation", first.conversation_id, data_dir=daemon.data_dir, stdin="And now?\n")
    assert resumed.returncode == 0, resumed.stderr
    assert newest(daemon).conversation_id == first.conversation_id


@pytest.mark.parametrize("ctrl_c", [False, True])
def test_chat_on_a_terminal(daemon: Daemon, ctrl_c: bool) -> None:
    ours, theirs = pty.openpty()
    place = {"EDGEWISE_DATA_DIR": str(daemon.data_dir), "TERM": "dumb"}
    with subprocess.Popen(
        [EDGEWISE, "chat", "--mode", "edge_only"], env=environment(place), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        try:
            read_until(ours, "> ")
            os.write(ours, f"{PARIS}\n".encode())
            assert "edge_only · edge" in read_until(ours, "\n> ")
            if ctrl_c:
                press_ctrl_c(process)
            else:
                os.write(ours, b"\x04")
            assert process.wait(20) == (130 if ctrl_c else 0)
        finally:
            process.kill()
            os.close(ours)


def press_ctrl_c(process: subprocess.Popen[bytes]) -> None:
    """Until it is heard: a signal between readline's prompt and its select waits for the next key in CPython."""
    limit = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < limit:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)


def read_until(terminal: int, end: str) -> str:
    text, limit = "", time.monotonic() + 30
    while not text.replace("\r", "").endswith(end):
        ready, _, _ = select.select([terminal], [], [], max(0, limit - time.monotonic()))
        assert ready, text
        text += os.read(terminal, 4096).decode()
    return text


def test_ctrl_c_ends_a_question(daemon: Daemon) -> None:
    command = [EDGEWISE, "ask", "Tell me a very long story.", "--mode", "agent", "--steps"]
    place = environment({"EDGEWISE_DATA_DIR": str(daemon.data_dir)})
    with subprocess.Popen(command, env=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "choose tool" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, output) == (130, "")
    assert "Traceback" not in errors


# --- without a daemon -------------------------------------------------------------------------------------------------


def test_without_a_daemon_the_same_data_is_used(tmp_path: Path) -> None:
    place = tmp_path / "data"
    (tmp_path / "workshop.md").write_text(WORKSHOP)
    done = edgewise("ingest", tmp_path / "workshop.md", data_dir=place)
    assert (done.returncode, done.stdout) == (
        0,
        "1 ingested (1 passages), 0 unchanged, 0 deleted, 0 skipped, 0 failed\n",
    ), done.stderr
    done = edgewise("ask", ABOUT_WORKSHOP, "--mode", "cloud_info_edge_rag", "--json", data_dir=place)
    shown = json.loads(done.stdout)
    assert [Path(one["source"]).name for one in shown["citations"]] == ["workshop.md"]
    assert shown["degraded"]
    assert "no cloud is configured" in shown["reason"]
    key = shown["record_id"]
    assert edgewise("grade", key, "up", data_dir=place).returncode == 0
    with up(place):
        assert "graded 1.00" in edgewise("log", data_dir=place).stdout
        done = edgewise("status", "--json", data_dir=place)
        assert json.loads(done.stdout)["edge"]["documents"] == 1


def newest(daemon: Daemon) -> Record:
    return records(daemon, 1)[0]


def records(daemon: Daemon, limit: int) -> tuple[Record, ...]:
    async def main() -> tuple[Record, ...]:
        async with daemon.client() as client:
            return await client.records(limit=limit)

    return asyncio.run(main())
