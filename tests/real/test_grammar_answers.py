"""Schemas from end to end: the engine alone, then a daemon asked over gRPC, over HTTP and by the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, Literal

import openai
import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edge.llama.engine import LlamaEngine
from edgewise.errors import InvalidInput
from edgewise.types import Chunk, Completion, FinishReason, Message, Options, Prompt, Question, Sampling, Text
from tests.stack import Daemon, edgewise, up


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Animal(Strict):
    name: Annotated[str, Field(max_length=20)]
    legs: Annotated[int, Field(ge=0, le=99)]
    kind: Literal["mammal", "bird", "fish", "insect"]


class Zoo(Strict):
    city: Annotated[str, Field(max_length=20)]
    animals: Annotated[list[Animal], Field(min_length=1, max_length=2)]


ZOO = json.dumps(Zoo.model_json_schema())
ANIMAL = json.dumps(Animal.model_json_schema())
PROMPT = Prompt(messages=(Message(role="user", content=Text.ours("Tell me of an animal, as JSON.")),))


def written(engine: LlamaEngine, *wishes: Options) -> list[tuple[str, FinishReason]]:
    """The texts of requests that run at the same time, and why each ended."""

    async def one(options: Options) -> tuple[str, FinishReason]:
        text = ""
        async with aclosing(engine.generate(PROMPT, options)) as parts:
            async for part in parts:
                match part:
                    case Chunk():
                        text += part.text
                    case Completion():
                        return text, part.finish_reason
        raise AssertionError("no completion came")

    async def main() -> list[tuple[str, FinishReason]]:
        return await asyncio.gather(*map(one, wishes))

    return asyncio.run(main())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_model_obeys_alone_and_in_company(engine: LlamaEngine, temperature: float) -> None:
    sampling = Sampling(max_tokens=200, temperature=temperature, seed=3)
    zoo = Options(sampling=sampling, response_schema=ZOO)
    choice = Options(sampling=sampling, grammar='root ::= "a cat" | "a dog"')
    free = Options(sampling=Sampling(max_tokens=8))
    [(alone, reason)] = written(engine, zoo)
    assert reason == "stop"
    TypeAdapter(Zoo).validate_json(alone)
    together, other, _, _ = written(engine, zoo, choice, free, free)
    assert together == (alone, "stop")
    assert other[0] in {"a cat", "a dog"}


def test_an_answer_that_is_cut_off_says_so(engine: LlamaEngine) -> None:
    [(text, reason)] = written(engine, Options(sampling=Sampling(max_tokens=5), response_schema=ZOO))
    assert (text[:1], reason) == ("{", "length")
    with pytest.raises(ValidationError, match="EOF"):
        TypeAdapter(Zoo).validate_json(text)


@pytest.mark.parametrize(
    "wish", [{"response_schema": '{"not": {}}'}, {"grammar": "root ::= ("}, {"response_schema": "{}", "grammar": "x"}]
)
def test_what_cannot_be_obeyed_is_refused_and_nobody_suffers(engine: LlamaEngine, wish: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        written(engine, Options.model_validate(wish))
    [(text, _)] = written(engine, Options(sampling=Sampling(max_tokens=200), response_schema=ANIMAL))
    TypeAdapter(Animal).validate_json(text)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    place = tmp_path_factory.mktemp("daemon") / "data"
    with up(place, "--embedded-cloud", settings={"EDGEWISE_CLOUD__CONTEXT_TOKENS": "1024"}) as running:
        yield running


@pytest.mark.parametrize("mode", ["edge_only", "cloud_only", "post_arbitration", "auto"])
def test_both_sides_obey_over_grpc(daemon: Daemon, mode: str) -> None:
    async def main() -> None:
        async with daemon.client() as client:
            asked = Question(text="Which animal gives us milk?", mode=mode, response_schema=ANIMAL, hold=True)
            answer = await client.answer(asked)
            assert answer.done.finish_reason == "stop"
            TypeAdapter(Animal).validate_json(answer.text)

    asyncio.run(main())


def test_openai_clients_parse_the_answer(daemon: Daemon) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "animal", "schema": Animal.model_json_schema()}}
    with openai.OpenAI(base_url=f"{daemon.http}/v1", api_key=daemon.token, max_retries=0) as client:
        answer = client.chat.completions.create(
            model="edge_only",
            messages=[{"role": "user", "content": "Which animal barks?"}],
            response_format=wanted,
        )
        TypeAdapter(Animal).validate_json(answer.choices[0].message.content or "")
        parsed = client.chat.completions.parse(
            model="edge_only", messages=[{"role": "user", "content": "Which animal barks?"}], response_format=Animal
        )
        assert isinstance(parsed.choices[0].message.parsed, Animal)


def test_the_command_line_takes_a_schema(daemon: Daemon, tmp_path: Path) -> None:
    schema = tmp_path / "animal.json"
    schema.write_text(ANIMAL)
    asked = ("ask", "--mode", "edge_only", "Which animal flies?", "--schema")
    done = edgewise(*asked, schema, data_dir=daemon.data_dir)
    assert done.returncode == 0, done.stderr
    TypeAdapter(Animal).validate_json(done.stdout)
    for content, words in ((b"{", "not JSON"), (b"\xff", "UTF-8"), (b'{"not": {}}', "not")):
        schema.write_bytes(content)
        done = edgewise(*asked, schema, data_dir=daemon.data_dir)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
    assert edgewise(*asked, tmp_path / "missing.json", data_dir=daemon.data_dir).returncode == 2
