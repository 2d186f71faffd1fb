"""`edgewise train` and `edgewise explain`, as a person uses them: with real embeddings, and with files that are bad."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from router.log import Log
from tests.logs import answered
from tests.routers import log_url
from tests.stack import Daemon, edgewise, informed, up

SUM, BIRD = "What is 12 + 84?", "Which bird sings in the 7th night?"


def graded(path: Path, rows: int = 120, *, answers: bool = False) -> Path:
    """The cloud is better at sums, and knows no more of birds; the edge is right about birds, and brief when it is."""
    chance = np.random.default_rng(1)
    lines = []
    for number in range(rows):
        is_sum = bool(chance.random() < 0.5)
        right = bool(chance.random() < (0.1 if is_sum else 0.8))
        row: dict[str, object] = {
            "prompt": f"What is {number} + {number * 7}?" if is_sum else f"Which bird sings in the {number}th night?",
            "weak": right,
            "strong": bool(chance.random() < 0.9),
        }
        if answers:
            row["weak_answer"] = f"The {number}." if right else "It is hard to say, and it depends on many things."
            row["logprobs"] = [-0.1] * 3 if right else [-1.5] * 9
            row["entropies"] = row["margins"] = [0.3] * (3 if right else 9)
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def explained(question: str, data_dir: Path, *arguments: str) -> dict[str, object]:
    done = edgewise("explain", question, *arguments, "--json", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose arbiter has learned from graded questions, before and after."""
    directory = tmp_path_factory.mktemp("trained")
    for when in ("pre", "post"):
        labels = graded(directory / f"{when}.jsonl", answers=when == "post")
        done = edgewise("train", when, "--labels", str(labels), "--json", data_dir=directory / "data")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["questions"] == 120
        assert next(iter(told["held_out"].values()))["lo"] > 0.5
        assert all(Path(path).is_file() for path in told["kept"])
    return directory / "data"


def test_the_log_teaches(tmp_path: Path) -> None:
    """Graded answers to birds are right and sure, those to sums are neither; the cloud was graded for all of them."""

    async def fill() -> None:
        log = await Log.open(log_url(tmp_path))
        for number in range(60):
            is_sum = number % 2 == 0
            prompt = f"What is {number} + 7?" if is_sum else f"Which bird sings at {number}?"
            await answered(
                log, f"edge-{number}", prompt, "edge", float(not is_sum), answer="It depends." * (1 + is_sum)
            )
            await answered(log, f"cloud-{number}", prompt, "cloud", 1.0)
        await log.close()

    asyncio.run(fill())
    for when in ("pre", "post"):
        done = edgewise("train", when, "--from-log", data_dir=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "learned from 60 graded questions" in done.stdout
        assert "no better than chance" not in done.stdout


def test_what_was_learned_decides(trained: Path) -> None:
    of_sum, of_bird = (explained(one, trained, "--mode", "pre_arbitration") for one in (SUM, BIRD))
    assert (of_sum["author"], of_bird["author"]) == ("cloud", "edge")
    assert isinstance(of_sum["score"], float)
    assert isinstance(of_bird["score"], float)
    assert of_sum["score"] > 0.5 > of_bird["score"]
    assert of_sum["familiar"] is of_bird["familiar"] is True
    assert of_sum["leaves"] is False, "there is no cloud"


def test_an_answer_says_which_arbiter_decided(trained: Path) -> None:
    with up(trained, "--embedded-cloud") as daemon:
        of_sum, of_bird = (explained(one, daemon.data_dir, "--mode", "pre_arbitration") for one in (SUM, BIRD))
        assert (of_sum["author"], of_sum["leaves"]) == ("cloud", True)
        done = edgewise("ask", BIRD, "--mode", "pre_arbitration+cascade", "--json", data_dir=daemon.data_dir)
        answer = json.loads(done.stdout)
        assert {step["name"] for step in answer["steps"]} >= {"weigh a draft", "judge"}
        record = json.loads(edgewise("log", answer["record_id"], data_dir=daemon.data_dir).stdout)
        assert record["policy_version"] == of_bird["policy_version"]


@pytest.mark.usefixtures("multilingual")  # it fetches that embedder
def test_an_arbiter_of_another_embedder_is_refused(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "arbiter", tmp_path / "arbiter")
    e5 = {"EDGEWISE_EDGE__EMBEDDER": "multilingual-e5-small-int8"}
    done = edgewise("explain", SUM, "--mode", "pre_arbitration", data_dir=tmp_path, settings=e5)
    assert (done.returncode, done.stdout) == (1, "")
    assert "trained with another embedder" in done.stderr


def test_a_damaged_arbiter_says_what_to_do(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "arbiter").mkdir()
    whole = (trained / "arbiter" / "gain.npz").read_bytes()
    (tmp_path / "arbiter" / "gain.npz").write_bytes(whole[: len(whole) // 2])
    done = edgewise("explain", SUM, data_dir=tmp_path)
    assert done.returncode != 0
    assert "edgewise train pre" in done.stderr


def test_a_dry_run_reads_well(tmp_path_factory: pytest.TempPathFactory) -> None:
    with informed(tmp_path_factory.mktemp("explain") / "data") as daemon:
        shown = _shown(daemon, "What is the capital of France?", "--mode", "pre_arbitration")
        assert shown.startswith("pre_arbitration: the edge answers")
        assert "against 0.500" in shown
        assert "nobody asks the cloud" in shown
        assert "may leave the device" in _shown(daemon, "How old is the oldest tree?", "--mode", "cloud_only")
        assert "it is private" in _shown(daemon, "What is my door code?", "--private", "--mode", "auto")
        assert "unlike all that was learned from" in _shown(daemon, "法国的首都是哪里？", "--mode", "pre_arbitration")


def _shown(daemon: Daemon, *arguments: str) -> str:
    done = edgewise("explain", *arguments, data_dir=daemon.data_dir)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("prompt,weak\nwhy?,1\n", "no column strong"),
        ("prompt,weak,strong\nwhy?,nan,1\n", "weak is 'nan'"),
        ("prompt,weak,strong\nwhy?,0,1\n", "1 graded questions are too few"),
        ("prompt,weak,strong\n" + "why?,1,1\n" * 60, "nothing to learn"),
        ("", "no column prompt, weak, strong"),
    ],
)
def test_labels_that_teach_nothing_are_refused(tmp_path: Path, content: str, words: str) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(content)
    done = edgewise("train", "pre", "--labels", str(labels), data_dir=tmp_path / "data")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words in done.stderr
    assert not (tmp_path / "data" / "arbiter").exists()


def test_it_must_be_said_what_to_learn_from(tmp_path: Path) -> None:
    for arguments in (("pre",), ("post", "--from-log"), ("pre", "--labels", str(tmp_path / "none.csv"))):
        done = edgewise("train", *arguments, data_dir=tmp_path / "data")
        assert done.returncode in {1, 2}
        assert done.stderr.startswith("error: ")
