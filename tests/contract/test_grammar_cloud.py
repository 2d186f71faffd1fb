"""A schema for the large model's answer, at each backend of the gateway."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import pytest

from cloud.client import CloudClient
from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from cloud.server import service
from edgewise.errors import CloudUnavailable, InvalidInput
from edgewise.rpc import start_server
from edgewise.types import Chunk, Message, Options, Prompt, Released, Sampling, Text
from tests.upstream import WORDS, Upstream

SCHEMA = '{"type": "object", "properties": {"n": {"const": 7}}, "required": ["n"], "additionalProperties": false}'
PROMPT = Released(Prompt(messages=(Message(role="user", content=Text.ours("Seven, please.")),)))


def answer(settings: CloudSettings, options: Options, place: Path) -> str:
    """What comes back over gRPC."""

    async def main() -> str:
        gateway = await CloudGateway.open(settings, place)
        server, address = await start_server([service(gateway)], f"unix:{place}/cloud.sock")
        client = CloudClient(address)
        try:
            async with aclosing(client.generate(PROMPT, options)) as parts:
                return "".join([part.text async for part in parts if isinstance(part, Chunk)])
        finally:
            await client.close()
            await server.stop(0)
            await gateway.close()

    return asyncio.run(main())


def wishing(**wishes: object) -> Options:
    return Options.model_validate({"sampling": Sampling(max_tokens=32), **wishes})


def test_the_stand_in_obeys(tmp_path: Path) -> None:
    settings = CloudSettings(backend="llama", context_tokens=512, threads=1)
    assert json.loads(answer(settings, wishing(response_schema=SCHEMA), tmp_path)) == {"n": 7}
    with pytest.raises(InvalidInput, match="uniqueItems"):
        answer(settings, wishing(response_schema='{"type": "array", "uniqueItems": true}'), tmp_path)


def test_a_server_is_told_strictly(tmp_path: Path) -> None:
    with Upstream() as upstream:
        settings = CloudSettings(backend="openai_compatible", base_url=upstream.url, model="ok")
        assert answer(settings, wishing(response_schema=SCHEMA), tmp_path) == "".join(WORDS)
        [body] = upstream.requests
    told = body["response_format"]
    assert (told["type"], told["json_schema"]["strict"]) == ("json_schema", True)
    assert told["json_schema"]["schema"] == json.loads(SCHEMA)


@pytest.mark.parametrize("wish", [{"grammar": 'root ::= "7"'}, {"adapter": "x"}, {"surprisal": True}])
def test_what_a_server_has_no_field_for_is_refused(wish: dict[str, object], tmp_path: Path) -> None:
    with Upstream() as upstream:
        settings = CloudSettings(backend="openai_compatible", base_url=upstream.url, model="ok")
        with pytest.raises(CloudUnavailable, match=next(iter(wish))):
            answer(settings, wishing(**wish), tmp_path)
        assert upstream.requests == []


def test_a_recording_obeys_nobody(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.jsonl"
    recorded.write_text(json.dumps({"prompt": "Seven, please.", "answer": "7"}))
    settings = CloudSettings(backend="replay", replay_file=recorded)
    assert answer(settings, wishing(), tmp_path) == "7"
    with pytest.raises(CloudUnavailable, match="grammar"):
        answer(settings, wishing(response_schema=SCHEMA), tmp_path)
