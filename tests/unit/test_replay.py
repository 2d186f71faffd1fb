import asyncio
import json
import time
from pathlib import Path

import pytest

from edge.replay import ReplayEngine, count_words
from edgewise.errors import InvalidInput, NotFound, NotReady
from edgewise.keys import question_hash
from edgewise.types import Chunk, Completion, CostBasis, Message, Options, Prompt, Text

FULL = {
    "id": "q1",
    "prompt": "Who runs the ferry?",
    "answer": "The harbour office runs it.",
    "prompt_tokens": 11,
    "completion_tokens": 6,
    "latency_s": 0.2,
    "cost_usd": 0.001,
    "logprobs": [-0.1, -0.2, -0.3, -0.4, -0.5, -0.6],
    "note": "not for us",
}


def ask(text: str) -> Prompt:
    system = Message(role="system", content=Text(value="Be brief."))
    return Prompt(messages=(system, Message(role="user", content=Text(value=text))))


def opened(folder: Path, *lines: object, scale: float = 0.0) -> ReplayEngine:
    path = folder / "answers.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return asyncio.run(ReplayEngine.open(path, latency_scale=scale))


def replay(engine: ReplayEngine, prompt: Prompt, options: Options | None = None) -> tuple[list[Chunk], Completion]:
    async def main() -> tuple[list[Chunk], Completion]:
        items = [item async for item in engine.generate(prompt, options or Options())]
        assert isinstance(items[-1], Completion)
        return [item for item in items if isinstance(item, Chunk)], items[-1]

    return asyncio.run(main())


def test_what_was_recorded_is_given_back(tmp_path: Path) -> None:
    chunks, completion = replay(opened(tmp_path, FULL), ask("anything"), Options(question_id="q1"))
    assert len(chunks) > 1
    assert "".join(chunk.text for chunk in chunks) == FULL["answer"]
    assert [value for chunk in chunks for value in chunk.logprobs] == FULL["logprobs"]
    assert completion.tokens.prompt_tokens == 11
    assert completion.tokens.completion_tokens == 6
    assert completion.timings.decode_s == 0.2
    assert completion.cost_usd == 0.001
    assert completion.cost_basis is CostBasis.SIMULATED
    assert completion.model == "answers"
    assert completion.flops is None


def test_what_was_not_recorded_is_counted_or_unknown(tmp_path: Path) -> None:
    engine = opened(tmp_path, "", {"id": 7, "answer": "Zwei Tage。我很高兴\n"}, "  ")
    chunks, completion = replay(engine, ask("How long?"), Options(question_id="7"))
    assert "".join(chunk.text for chunk in chunks) == "Zwei Tage。我很高兴\n"
    assert completion.tokens.prompt_tokens == 4
    assert completion.tokens.completion_tokens == count_words("Zwei Tage。我很高兴") == 6
    assert completion.cost_usd is None
    assert completion.timings.decode_s is None
    assert completion.cost_basis is CostBasis.SIMULATED


def test_the_keys_in_their_order(tmp_path: Path) -> None:
    engine = opened(
        tmp_path, {"id": "a", "answer": "by id"}, {"prompt": "By  HASH?", "answer": "by hash"},
        {"prompt": "last message", "answer": "by message"},
    )  # fmt: skip

    def answer(prompt: str, **options: str) -> str:
        chunks, _ = replay(engine, ask(prompt), Options.model_validate(options))
        return "".join(chunk.text for chunk in chunks)

    key = question_hash("by hash?")
    assert answer("last message", question_id="a", question_hash=key) == "by id"
    assert answer("last message", question_id="b", question_hash=key) == "by hash"
    assert answer("LAST\nmessage") == "by message"
    assert answer("last message", question_id="b", question_hash="unknown") == "by message"


def test_a_missing_answer_names_its_keys(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"id 'q9' or question hash {question_hash('Why?')}"):
        replay(opened(tmp_path, FULL), ask("Why?"), Options(question_id="q9"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{not json", "Invalid JSON"),
        ("[]", "should be an object"),
        ({"id": "q2"}, "answer: Field required"),
        ({"answer": "x"}, "neither an id nor a prompt"),
        ({"id": "q1", "answer": "x"}, "the id 'q1' is there already"),
        ({"prompt": "who RUNS the ferry?", "answer": "x"}, "the prompt .* is there already"),
        ({"id": "q2", "answer": "x", "latency_s": -1}, "latency_s: .*greater than or equal to 0"),
        ({"id": "q2", "answer": "x", "logprobs": [0.1]}, "logprobs: 0: .*less than or equal to 0"),
        ('{"id": "q2", "answer": "x", "cost_usd": NaN}', "cost_usd|Invalid JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: object, reason: str) -> None:
    with pytest.raises(InvalidInput, match=rf"answers\.jsonl, line 3: .*(?:{reason})"):
        opened(tmp_path, FULL, "", line)


def test_bytes_that_are_no_text_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with pytest.raises(NotReady, match="cannot be read"):
        asyncio.run(ReplayEngine.open(path))
    path.write_bytes(b'{"id": "\xff", "answer": "x"}')
    with pytest.raises(InvalidInput, match="line 1"):
        asyncio.run(ReplayEngine.open(path))


def test_the_pace_is_the_recorded_one_times_the_scale(tmp_path: Path) -> None:
    started = time.monotonic()
    replay(opened(tmp_path, FULL, scale=1.0), ask("Who runs the ferry?"))
    assert time.monotonic() - started >= 0.2
    with pytest.raises(InvalidInput, match=r"between 0 .* and 1"):
        opened(tmp_path, FULL, scale=1.5)


def test_a_recording_has_no_other_probabilities(tmp_path: Path) -> None:
    engine = opened(tmp_path, FULL)
    with pytest.raises(NotReady, match="score"):
        asyncio.run(engine.score(ask("x"), ("yes",)))
    with pytest.raises(NotReady, match="cannot do tokenize"):
        asyncio.run(engine.tokenize("x"))
    assert engine.load.queued == 0
    asyncio.run(engine.close())


def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    chunks, completion = replay(opened(tmp_path, {"id": "e", "answer": ""}), ask("x"), Options(question_id="e"))
    assert chunks == []
    assert completion.tokens.completion_tokens == 0


def test_the_question_key_looks_through_form_case_and_space() -> None:
    assert question_hash("  Café\tＡBC ") == question_hash("cafe\u0301 abc")
    assert question_hash("a b") != question_hash("ab")
    assert len(question_hash("\ud800")) == 64
