"""Apps of a running daemon, from the command line: a token is made, used over every door, revoked, and forgotten."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from edgewise.client import Client
from edgewise.errors import Forbidden, NotFound, Unauthenticated
from edgewise.types import Question, Upload
from tests.marked import SECRET, asked, holding, note, recording
from tests.stack import Daemon, edgewise, up, wait_until


def test_an_app_lives_while_the_daemon_runs(tmp_path: Path) -> None:
    place = tmp_path / "data"
    settings = {
        "EDGEWISE_EDGE__STORE": "sqlite", "EDGEWISE_EDGE__ENGINE": "replay",
        "EDGEWISE_EDGE__REPLAY_FILE": str(recording(tmp_path)),
    }  # fmt: skip
    with up(place, settings=settings) as daemon, ExitStack() as exits:
        made = edgewise("apps", "add", "camera", "--rpm", "1000", "--json", data_dir=place)
        assert made.returncode == 0, made.stderr
        app = json.loads(made.stdout)
        token, http = app["token"], exits.enter_context(httpx2.Client(base_url=daemon.http))
        http.headers["authorization"] = f"Bearer {token}"
        assert app["collections"] == ["app-camera"]
        wait_until(lambda: http.get("/v1/models").status_code == 200, "the daemon knows the app", 5)
        assert http.get("/page/records").status_code == 403
        record_id = asyncio.run(used(daemon, token))
        assert holding(place, token) == []

        assert edgewise("apps", "revoke", "camera", data_dir=place).returncode == 0
        wait_until(lambda: http.get("/v1/models").status_code == 401, "the daemon has noticed", 5)
        assert asyncio.run(there(daemon, record_id))

        gone = json.loads(edgewise("forget", "--app", "camera", "--yes", "--json", data_dir=place).stdout)
        assert (gone["records"], gone["documents"]) == (1, 1)
        assert holding(place, SECRET) == []
        assert not asyncio.run(there(daemon, record_id))
    assert holding(place, SECRET) == []
    # Without a daemon.
    again = edgewise("forget", record_id, data_dir=place, settings=settings)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "nothing of it is here")


async def there(daemon: Daemon, record_id: str) -> bool:
    async with daemon.client() as owner:
        return record_id in {one.record_id for one in await owner.records()}


async def used(daemon: Daemon, token: str) -> str:
    async with Client(daemon.grpc, token) as camera, daemon.client() as owner:
        results = [one async for one in camera.ingest([Upload(source="k.md", data=note(SECRET), collection="")])]
        assert results[-1].status == "INGESTED"
        question = Question(text=asked(SECRET), mode="edge_only+rag")
        answer = await camera.answer(question)
        assert SECRET in answer.text
        own = (await owner.answer(Question(text="Who are you?", mode="edge_only"))).done.record_id
        with pytest.raises(NotFound):
            await camera.record(own)
        with pytest.raises(Forbidden):
            await camera.documents("default")
        async with Client(f"unix:{daemon.data_dir}/edgewise.sock", "wrong") as stranger:
            with pytest.raises(Unauthenticated):
                await stranger.modes()
        return answer.done.record_id
