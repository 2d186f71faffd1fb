"""What the page asks its router for: events as they happen, the overview, records with their calls, grades."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from edgewise.errors import CloudUnavailable, EdgeUnavailable
from edgewise.types import Citations, CostBasis, Done, Event, Grade, Retraction, Step, Token, Value
from router.config import RouterSettings
from router.modes import MODES
from tests.logs import record
from tests.routers import (
    ASKED,
    HANGS,
    TOKEN,
    VARIANTS,
    a_cloud,
    an_edge,
    an_edge_that_hangs,
    collect,
    database_gone,
    question,
    until,
)
from tests.sides import UNSURE, FakeEdge, Say
from tests.site import Site, tried

KINDS: dict[str, type[Value]] = {
    "token": Token, "step": Step, "citations": Citations, "retraction": Retraction, "done": Done,
}  # fmt: skip


def caller(site: Site) -> httpx2.AsyncClient:
    head = {"authorization": f"Bearer {TOKEN}"}
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{site.port}", headers=head)


async def sent(site: Site, **given: object) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    async with caller(site) as client, client.stream("POST", "/page/ask", json={"text": ASKED, **given}) as found:
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in found.aiter_lines()]
    assert lines[2::3] == [""] * (len(lines) // 3)
    for name, data in zip(lines[0::3], lines[1::3], strict=True):
        yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def got(site: Site, path: str) -> Any:
    status, body = await site.raw("GET", path)
    assert status == 200, body
    return json.loads(body)


# --- asking -----------------------------------------------------------------------------------------------------------


def test_every_event_comes_with_its_name_and_fields(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        seen: set[str] = set()
        for mode in VARIANTS:
            events: list[tuple[str, Value]] = []
            async for name, fields in sent(site, mode=mode):
                assert set(fields) == set(KINDS[name].model_fields)
                events.append((name, KINDS[name].model_validate(fields)))
            [done] = [event for _, event in events if isinstance(event, Done)]
            assert events[-1][1] == done
            record = await site.place.record(done.record_id)
            assert (record.mode_asked, record.app) == (mode, "http")
            assert [event for _, event in events if isinstance(event, Step)] == list(record.steps)
            said = [e.text for _, e in events if isinstance(e, Token) and e.answer_id == done.answer_id]
            assert "".join(said) == record.answer
            seen |= {name for name, _ in events}
        assert seen == set(KINDS)

    tried(tmp_path, work, an_edge(UNSURE))


def test_what_is_asked_arrives(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        given = {"mode": "edge_only", "privacy": "PRIVATE", "max_cost_usd": 0.5, "conversation_id": "c"}
        for _ in range(2):
            assert [name async for name, _ in sent(site, **given)][-1] == "done"
        [second, first] = await site.place.records()
        assert (first.privacy, first.conversation_id, first.user_id) == ("PRIVATE", "c", "")
        assert len(site.place.edge.prompts[1].messages) == len(site.place.edge.prompts[0].messages) + 2
        assert second.mode_asked == "edge_only"

    tried(tmp_path, work)


def test_an_isolated_question_leaves_nothing_that_helps_the_next(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for isolated in (True, False):
            [*_, (last, _)] = [event async for event in sent(site, mode="cloud_info_edge_rag", isolated=isolated)]
            assert last == "done"
            await site.place.router.close()
            assert bool(site.place.edge.kept) is not isolated
        keys = [options.cache_key for options in site.place.edge.options]
        assert keys[0] != keys[-1]

    tried(tmp_path, work, an_edge(knows=False))


def test_a_failure_before_the_first_event_has_its_status_and_a_later_one_is_an_event(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        site.place.cloud.down = CloudUnavailable("the line is dead")
        site.place.edge.answers = [Say("x", error=EdgeUnavailable("the edge node is gone"))]
        for given, status, code in (
            ({"mode": "nobody"}, 400, "InvalidInput"),
            ({"mode": "edge_only", "text": " "}, 400, "InvalidInput"),
            ({"mode": "cloud_only", "privacy": "PRIVATE"}, 403, "Withheld"),
            ({"mode": "edge_only"}, 503, "EdgeUnavailable"),
        ):
            found, body = await site.raw("POST", "/page/ask", json.dumps({"text": ASKED, **given}).encode())
            assert (found, json.loads(body)["error"]["code"]) == (status, code)
        site.place.edge.answers = [Say("The ferry sails", after=1, error=EdgeUnavailable("the edge node is gone"))]
        [*_, (name, fields)] = [event async for event in sent(site, mode="edge_only")]
        assert (name, fields) == ("error", {"code": "EdgeUnavailable", "message": "the edge node is gone"})

    tried(tmp_path, work)


def test_events_come_at_once_and_hanging_up_cancels(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        given = {"text": ASKED, "mode": "edge_only"}
        async with caller(site) as client, client.stream("POST", "/page/ask", json=given) as found:
            lines = found.aiter_lines()
            assert await anext(lines) == "event: token"
            assert json.loads((await anext(lines)).removeprefix("data: "))["text"].strip() == "The"
            await site.place.edge.hanging.wait()
        await until(lambda: site.place.edge.cut_short == 1)
        assert [record.error for record in await site.place.records(1)] == ["CANCELLED"]

    tried(tmp_path, work, an_edge_that_hangs())


def test_hanging_up_before_the_first_event_cancels_too(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        async with caller(site) as client:
            asking = asyncio.create_task(client.post("/page/ask", json={"text": ASKED, "mode": "edge_only"}))
            await site.place.edge.hanging.wait()
            asking.cancel()
            await asyncio.wait({asking})
        await until(lambda: site.place.edge.cut_short == 1)

    tried(tmp_path, work, FakeEdge(Say("x", hangs=True)))


REFUSED: list[tuple[object, str]] = [
    (b"{", "JSON"),
    ([], "object"),
    ({}, "text"),
    ({"text": 3}, "text"),
    ({"text": ASKED, "hold": True}, "hold"),
    ({"text": ASKED, "privacy": "SECRET"}, "privacy"),
    ({"text": ASKED, "max_cost_usd": -1}, "max_cost_usd"),
    ({"text": ASKED, "conversation_id": "x" * 201}, "conversation_id"),
    ({"text": ASKED, "isolated": "perhaps"}, "isolated"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED)
def test_a_bad_question_is_refused(tmp_path: Path, body: object, words: str) -> None:
    async def work(site: Site) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, answer = await site.raw("POST", "/page/ask", data)
        assert (status, words in json.loads(answer)["error"]["message"]) == (400, True), answer
        assert site.place.edge.calls == 0

    tried(tmp_path, work)


def test_a_huge_body_is_refused(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        async with caller(site) as client:
            for path in ("/page/ask", "/page/records/x/grade"):
                found = await client.post(path, json={"text": "x" * 5_000_000})
                assert (found.status_code, found.json()["error"]["code"]) == (413, "TooLarge")

    tried(tmp_path, work)


# --- looking ----------------------------------------------------------------------------------------------------------


def test_the_overview(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        empty = await got(site, "/page/overview")
        assert (empty["tallies"], empty["today"]["n"], empty["today"]["cost_basis"]) == ([], 0, None)
        for mode in ("cloud_only", "cloud_only", "edge_only"):
            heard = await site.place.ask(question(mode))
        await site.place.router.grade(Grade(record_id=heard.done.record_id, grader="g", score=0.5))
        found = await got(site, "/page/overview")
        assert [mode["name"] for mode in found["modes"]] == list(MODES)
        assert [mode["options"] for mode in found["modes"]] == [list(mode.options) for mode in MODES.values()]
        assert (found["edge"]["model"], found["cloud"]["model"]) == ("fake-edge", "fake-cloud")
        assert "private ones never" in found["privacy"]
        assert found["usd_per_question"] == 0.25
        cloud, edge = found["tallies"]
        assert (cloud["mode"], cloud["n"], cloud["graded"], cloud["mean_grade"]) == ("cloud_only", 2, 0, None)
        assert (edge["mode"], edge["n"], edge["cost_usd"], edge["mean_grade"]) == ("edge_only", 1, 0, 0.5)
        records = await site.place.records()
        for spent in (found["today"], found["since_start"], found["lately"]):
            assert (spent["n"], spent["unknown"], spent["cost_basis"]) == (3, 0, CostBasis.NOTIONAL)
            assert spent["known_usd"] == pytest.approx(sum(record.cost_usd or 0 for record in records))

    tried(tmp_path, work, settings=RouterSettings(usd_per_question=0.25))


def test_without_the_record_database_the_overview_says_so_and_makes_nothing_up(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.place.ask(question("edge_only"))
        with database_gone(tmp_path):
            await site.place.ask(question("edge_only"))
            found = await got(site, "/page/overview")
            assert (found["tallies"], found["lately"], found["today"], found["since_start"]) == (None,) * 4
            assert found["backlog"]["count"] == 1
            assert "database failed" in found["backlog"]["reason"]
        await until(lambda: site.place.router.backlog.count == 0)
        found = await got(site, "/page/overview")
        assert (found["tallies"][0]["n"], found["today"]["n"], found["backlog"]["reason"]) == (2, 2, "")

    tried(tmp_path, work)


def test_an_overview_waits_for_no_side_that_does_not_answer(tmp_path: Path) -> None:
    class Mute(FakeEdge):
        free = asyncio.Event()

        async def status(self) -> Any:
            await self.free.wait()
            return await super().status()

    edge = Mute(Say("x"))

    async def work(site: Site) -> None:
        found = await got(site, "/page/overview")
        assert (found["edge"], found["cloud"]) == (None, None)
        assert len(found["modes"]) == len(MODES)
        edge.free.set()
        assert (await got(site, "/page/overview"))["edge"]["ready"]

    tried(tmp_path, work, edge)


def test_a_side_that_is_down_says_why(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        site.place.edge.down = EdgeUnavailable("the edge node is gone")
        found = await got(site, "/page/overview")
        assert (found["edge"]["ready"], found["edge"]["reason"]) == (False, "the edge node is gone")
        assert found["cloud"]["ready"]

    tried(tmp_path, work)


def test_records_are_paged_and_filtered(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for mode in ("edge_only", "cloud_only") * 3:
            await site.place.ask(question(mode))
        wanted = [record.record_id for record in await site.place.records()]
        first = (await got(site, "/page/records?limit=4"))["records"]
        rest = (await got(site, f"/page/records?limit=4&before={first[-1]['record_id']}"))["records"]
        assert [line["record_id"] for line in first + rest] == wanted
        only = (await got(site, "/page/records?mode=cloud_only"))["records"]
        assert {line["mode"] for line in only} == {"cloud_only"}
        assert (len(only), only[0]["author"], only[0]["cost_basis"], only[0]["grade"]) == (3, "cloud", "NOTIONAL", None)
        assert only[0]["shadow_of"] == ""
        await site.place.log.write(record("s", mode="agent", shadow_of=wanted[0]), ())
        [shadow] = (await got(site, "/page/records?mode=agent"))["records"]
        assert shadow["shadow_of"] == wanted[0]
        for query, status in (("limit=0", 400), ("limit=x", 400), ("limt=3", 400), ("before=nobody", 404)):
            assert (await site.raw("GET", f"/page/records?{query}"))[0] == status, query

    tried(tmp_path, work)


def test_a_record_has_its_calls_and_their_prompts_only_when_asked(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        heard = await site.place.ask(question("post_arbitration"))
        path = f"/page/records/{heard.done.record_id}"
        found = await got(site, path)
        assert found["record"] == (await site.place.record(heard.done.record_id)).model_dump(mode="json")
        assert {call["side"] for call in found["calls"]} == {"edge", "cloud"}
        for call in found["calls"]:
            assert 0 <= call["started_s"] <= call["first_s"] <= call["ended_s"]
            assert (call["request"], call["response"]) == (None, None)
        kept = {call["side"]: call for call in (await got(site, f"{path}?prompts=true"))["calls"]}
        assert ASKED in kept["cloud"]["request"]
        assert kept["cloud"]["response"] == "Nobody sails before noon"
        assert (await site.raw("GET", "/page/records/nobody"))[0] == 404
        assert (await site.raw("GET", f"{path}?prompts=perhaps"))[0] == 400

    tried(tmp_path, work)


def test_a_grade_is_kept(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        heard = await site.place.ask(question("edge_only"))
        path = f"/page/records/{heard.done.record_id}/grade"
        status, body = await site.raw("POST", path, b'{"score": 0.5, "comment": "half"}')
        [kept] = (await site.place.record(heard.done.record_id)).grades
        assert (status, Grade.model_validate_json(body)) == (200, kept)
        assert (kept.grader, kept.score, kept.comment) == ("page", 0.5, "half")
        await site.raw("POST", path, b'{"score": 1, "grader": "anna"}')
        assert (await got(site, "/page/records"))["records"][0]["grade"] == 0.75
        for bad in (b"{}", b'{"score": 2}', b'{"score": "up"}', b'{"score": 1, "record_id": "x"}', b'{"score": NaN}'):
            assert (await site.raw("POST", path, bad))[0] == 400, bad
        assert (await site.raw("POST", "/page/records/nobody/grade", b'{"score": 1}'))[0] == 404

    tried(tmp_path, work)


def test_a_stream_that_nobody_reads_does_not_stop_the_others(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        seen: list[Event] = []
        waiting = asyncio.create_task(collect(site.place.events(question("edge_only")), seen))
        await site.place.edge.hanging.wait()
        assert [name async for name, _ in sent(site, mode="cloud_only")][-1] == "done"
        waiting.cancel()
        await asyncio.wait({waiting})

    edge = an_edge()
    edge.answers = [HANGS]
    tried(tmp_path, work, edge, a_cloud())
