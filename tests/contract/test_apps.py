"""Who may call the daemon, and how far: every rpc and every route has a decision, and an app sees its own alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from starlette.applications import Starlette
from starlette.routing import Route

from edgewise.client import Client
from edgewise.errors import Forbidden, InvalidInput, NotFound, OverBudget, Overloaded, Unauthenticated
from edgewise.rpc import open_channel
from edgewise.types import Arm, Done, Experiment, Grade, Question, Unwanted
from edgewise.v1 import edge_pb2
from edgewise.wire import error_of, message_class
from router.page import files
from tests.apps import World, tried
from tests.edges import upload
from tests.routers import a_cloud, an_edge, question, until
from tests.sides import FakeCloud, Say

# What an app may do: `own`, with what is its own; `any`, since nobody's is touched; or nothing, for it is the owner's.
RPCS = {
    "RouterService": {
        "Ask": "own", "Explain": "own", "ListModes": "any", "ListRecords": "own", "GetRecord": "own",
        "GradeAnswer": "own", "ExportTrace": "own", "Forget": "own", "StartExperiment": "owner",
        "GetExperiment": "owner", "StopExperiment": "owner",
    },
    "EdgeService": {
        "Generate": "owner", "Score": "owner", "Tokenize": "any", "Embed": "any", "Retrieve": "own", "Read": "any",
        "Ingest": "own", "ListDocuments": "own", "DeleteDocument": "own", "LoadAdapter": "owner", "Scrub": "owner",
        "GetStatus": "any",
    },
}  # fmt: skip
ROUTES = {
    "/v1/chat/completions": "own", "/v1/embeddings": "any", "/v1/models": "any", "/openapi.json": "any",
    "/metrics": "owner", "/healthz": "open", "/page/ask": "owner", "/page/overview": "owner", "/page/records": "owner",
    "/page/records/{record_id}": "owner", "/page/records/{record_id}/grade": "owner",
    **dict.fromkeys(files.PATHS, "open"),
}  # fmt: skip


async def outcome(address: str, method: Any, token: str) -> grpc.StatusCode:
    """Of a call with an empty message."""
    request = message_class(method.input_type)()
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    path = f"/{method.containing_service.full_name}/{method.name}"

    async def requests() -> AsyncIterator[Message]:
        yield request

    async with open_channel(address) as channel:
        plain: Any = (lambda message: message.SerializeToString(), bytes)
        try:
            if method.client_streaming:
                both = channel.stream_stream(path, *plain)(requests(), metadata=metadata)
                _ = [reply async for reply in both]
            elif method.server_streaming:
                call = channel.unary_stream(path, *plain)(request, metadata=metadata)
                _ = [reply async for reply in call]
            else:
                await channel.unary_unary(path, *plain)(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def test_every_rpc_has_a_decision_and_keeps_it(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        for service in world.services:
            decided = RPCS[service.descriptor.name]
            assert set(decided) == {method.name for method in service.descriptor.methods}
            for method in service.descriptor.methods:
                for address in (world.address, world.socket):
                    found = await outcome(address, method, world.token("camera"))
                    is_refused = found is grpc.StatusCode.PERMISSION_DENIED
                    assert is_refused == (decided[method.name] == "owner"), (method.name, found)
                    assert found is not grpc.StatusCode.UNAUTHENTICATED
                    refused = await outcome(address, method, "ew_wrong")
                    assert refused is grpc.StatusCode.UNAUTHENTICATED, method.name
                assert await outcome(world.address, method, "") is grpc.StatusCode.UNAUTHENTICATED, method.name

    tried(tmp_path, work)


def test_every_route_has_a_decision_and_keeps_it(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        site: Any = world.app
        inner: Starlette = site._app
        routes = [route for route in inner.routes if isinstance(route, Route)]
        assert {route.path for route in routes} == set(ROUTES)
        assert len(routes) == len(inner.routes)
        async with world.site("camera") as app, world.site("", {"authorization": "Bearer wrong"}) as stranger:
            for route in routes:
                decided = ROUTES[route.path]
                for method in route.methods or ():
                    path = route.path.replace("{record_id}", "x")
                    given: Any = {"json": {}} if method == "POST" else {}
                    found = (await app.request(method, path, **given)).status_code
                    assert (found == 403) == (decided == "owner"), (path, found)
                    refused = (await stranger.request(method, path, **given)).status_code
                    assert (refused == 401) == (decided != "open"), (path, refused)
            assert (await app.get("/something-new")).status_code == 403

    tried(tmp_path, work)


def test_the_socket_is_the_owners_unless_a_token_says_otherwise(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        async with world.client(local=True) as owner, world.client("camera", local=True) as camera:
            done = (await owner.answer(question("edge_only"))).done
            assert await owner.records() != ()
            assert await camera.records() == ()
            with pytest.raises(NotFound):
                await camera.record(done.record_id)
        async with Client(world.socket, "ew_wrong") as stranger:
            with pytest.raises(Unauthenticated):
                await stranger.records()

    tried(tmp_path, work)


async def refusal(attempt: Any, known: str) -> tuple[type[Exception], str]:
    with pytest.raises(NotFound) as caught:
        await attempt
    return type(caught.value), caught.value.message.replace(known, "ID")


def test_a_record_of_another_is_not_there(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        async with world.client() as owner, world.client("camera") as camera, world.client("lamp") as lamp:
            owners, theirs = [(await who.answer(question("edge_only"))).done.record_id for who in (owner, lamp)]
            mine = (await camera.answer(question("edge_only", user_id="lamp"))).done.record_id
            assert [one.record_id for one in await camera.records()] == [mine]
            assert {one.record_id for one in await owner.records()} == {owners, theirs, mine}
            assert (await camera.record(mine)).app == "camera"
            nobodys = "0" * len(mine)
            for attempt in (
                camera.record,
                lambda one: camera.grade(Grade(record_id=one, grader="me", score=1)),
                lambda one: camera.records(before_record_id=one),
            ):
                told = {await refusal(attempt(one), one) for one in (owners, theirs, nobodys)}
                assert len(told) == 1
            assert await camera.records(before_record_id=mine) == ()
            traced = [line async for line, _ in camera.trace(with_private=True)]
            assert sum(mine in line or '"asked_at"' in line for line in traced) == 1
            told_of = {
                (await camera.forget(Unwanted(record_id=one))).model_dump_json() for one in (owners, theirs, nobodys)
            }
            assert len(told_of) == 1
            with pytest.raises(Forbidden):
                await camera.forget(Unwanted(app="lamp"))
            assert len(await owner.records()) == 3
            assert (await camera.forget(Unwanted(record_id=mine))).records == 1
            assert await camera.records() == ()

    tried(tmp_path, work)


def test_conversations_and_request_ids_are_an_apps_own(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        asked = question("edge_only", conversation_id="talk", request_id="r")
        async with world.client() as owner, world.client("camera") as camera, world.client("lamp") as lamp:
            ids = [(await who.answer(asked)).done.record_id for who in (owner, camera, lamp)]
            assert len(set(ids)) == 3
            assert (await camera.answer(asked)).done.record_id == ids[1]
            assert all(
                len(prompt.messages) == len(world.place.edge.prompts[0].messages) for prompt in world.place.edge.prompts
            )
            assert [one.record_id for one in await lamp.records(conversation_id="talk")] == [ids[2]]
        async with world.site("camera") as site:
            extras = {"conversation_id": "talk", "request_id": "r"}
            body = {"model": "edge_only", "messages": [{"role": "user", "content": asked.text}], "edgewise": extras}
            answer = (await site.post("/v1/chat/completions", json=body)).json()
            assert answer["edgewise"]["record_id"] == ids[1]

    tried(tmp_path, work)


def test_an_app_is_answered_from_its_collections(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        edge = world.place.edge
        async with world.client() as owner, world.client("camera") as camera, world.client("lamp") as lamp:
            for who, given, looked in (
                (owner, (), ()),
                (camera, (), ("app-camera", "cloud-info-camera")),
                (lamp, (), ("lamp", "notes", "cloud-info-lamp")),
                (lamp, ("notes",), ("notes", "cloud-info-lamp")),
            ):
                edge.queries.clear()
                await who.answer(question("cloud_info_edge_rag", collections=given))
                assert {query.collections for query in edge.queries} == {looked}
            for wanted in ("notes", "cloud-info", "default", "no such"):
                with pytest.raises(Forbidden):
                    await camera.answer(question("edge_only", collections=(wanted,)))
                with pytest.raises(Forbidden):
                    await camera.explain(question("edge_only", collections=(wanted,)))
        await world.place.router.settled()
        assert edge.kept_in == {"cloud-info", "cloud-info-camera", "cloud-info-lamp"}
        async with world.site("camera") as site:
            body = {"model": "edge_only", "messages": [{"role": "user", "content": "x"}]}
            refused = await site.post("/v1/chat/completions", json=body | {"edgewise": {"collections": ["notes"]}})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "Forbidden")

    tried(tmp_path, work)


def test_documents_are_an_apps_own(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        async with world.client() as owner, world.client("camera") as camera, world.client("lamp") as lamp:
            _ = [one async for one in owner.ingest([upload(source="o.md", collection="default")])]
            _ = [one async for one in camera.ingest([upload(source="c.md").model_copy(update={"collection": ""})])]
            for name in ("lamp", "notes"):
                _ = [one async for one in lamp.ingest([upload(source=f"{name}.md", collection=name)])]
            documents = {one.source: one for one in await owner.documents()}
            assert {name: one.collection for name, one in documents.items()} == {
                "o.md": "default", "c.md": "app-camera", "lamp.md": "lamp", "notes.md": "notes"
            }  # fmt: skip
            assert [one.source for one in await camera.documents()] == ["c.md"]
            assert {one.source for one in await lamp.documents()} == {"lamp.md", "notes.md"}
            for attempt in (camera.documents("notes"), anext(camera.ingest([upload(collection="default")]))):
                with pytest.raises(Forbidden):
                    await attempt
            foreign = [documents["o.md"].id, documents["notes.md"].id, "0" * 32]
            assert len({await refusal(camera.delete_document(one), one) for one in foreign}) == 1
            assert len(await owner.documents()) == 4
            status = await camera.edge_status()
            assert (status.ready, status.documents, status.passages) == (True, 0, 0)
            await camera.delete_document(documents["c.md"].id)
            assert await camera.documents() == ()
        found = [query.collections for query in await asked_of(world)]
        assert found == []

    async def asked_of(world: World) -> list[Any]:
        """What an app finds by itself, in what is not its own."""
        metadata = (("authorization", f"Bearer {world.token('camera')}"),)
        async with open_channel(world.address) as channel:
            call = channel.unary_unary(
                "/edgewise.v1.EdgeService/Retrieve",
                lambda message: message.SerializeToString(), edge_pb2.RetrieveResponse.FromString,
            )  # fmt: skip
            query = {"text": {"value": "When do the doors open?"}, "k": 4}
            reply = await call(edge_pb2.RetrieveRequest(query=query), metadata=metadata)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(edge_pb2.RetrieveRequest(query=query | {"collections": ["notes"]}), metadata=metadata)
            assert isinstance(error_of(caught.value), Forbidden)
            return list(reply.findings.passages)

    tried(tmp_path, work)


def test_pages_of_documents_go_on_in_the_next_collection(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        metadata = (("authorization", f"Bearer {world.token('lamp')}"),)
        async with open_channel(world.address) as channel:
            call = channel.unary_unary(
                "/edgewise.v1.EdgeService/ListDocuments",
                lambda message: message.SerializeToString(), edge_pb2.ListDocumentsResponse.FromString,
            )  # fmt: skip
            for token in ("2-", "-", "x", "9" * 30, "0-x", "0-" + "9" * 40):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call(edge_pb2.ListDocumentsRequest(page_token=token), metadata=metadata)
                assert isinstance(error_of(caught.value), InvalidInput), token

    tried(tmp_path, work)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_calls_beyond_the_rate_are_told_when_to_come_back(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        async with world.client("camera") as camera, world.site("lamp") as site:
            for _ in range(3):
                await camera.modes()
                assert (await site.get("/v1/models")).status_code == 200
            with pytest.raises(Overloaded) as caught:
                await camera.modes()
            assert caught.value.retry_after_s
            refused = await site.get("/v1/models")
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 20
        async with world.client() as owner:
            for _ in range(5):
                await owner.modes()

    tried(tmp_path, work, requests_per_minute=3)


def test_a_revoked_app_is_refused_and_what_it_was_stays(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        async with world.client("camera") as camera, world.client() as owner:
            done = (await camera.answer(question("edge_only"))).done
            await world.accounts.revoke("camera")
            with pytest.raises(Unauthenticated):
                await camera.modes()
            assert (await owner.record(done.record_id)).app == "camera"

    tried(tmp_path, work)


def spent(world: World, app: str) -> Any:
    async def read() -> float:
        [found] = [one for one in await world.accounts.list() if one.account.name == app]
        assert found.reserved_usd == 0
        return found.spent_usd

    return read()


def test_an_app_spends_its_budget_and_then_the_edge_answers(tmp_path: Path) -> None:
    cloud = a_cloud(Say("Nobody sails before noon " * 20))

    async def work(world: World) -> None:
        async with world.client("camera") as camera, world.client("lamp") as lamp, world.client() as owner:
            done: list[Done] = [(await camera.answer(question("post_arbitration"))).done]
            while not done[-1].degraded:
                done.append((await camera.answer(question("post_arbitration"))).done)
                assert len(done) < 50
            assert any(one.cost_usd for one in done)
            assert done[-1].author == "edge"
            paid = sum(one.cost_usd or 0.0 for one in done)
            assert await spent(world, "camera") == pytest.approx(paid)
            assert paid <= 0.002
            with pytest.raises(OverBudget):
                await camera.answer(question("cloud_only"))
            assert (await lamp.answer(question("cloud_only"))).done.cost_usd
            assert (await owner.answer(question("cloud_only"))).done.cost_usd
            assert await spent(world, "camera") == pytest.approx(paid)

    tried(tmp_path, work, an_edge(), cloud, budget_usd=0.002, period="all")


def test_budgets_hold_under_many_calls_at_once(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        async with world.client("camera") as camera:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(camera.answer(question("post_arbitration"))) for _ in range(24)]
            paid = sum(task.result().done.cost_usd or 0.0 for task in tasks)
            assert 0 < paid <= 0.001
            assert await spent(world, "camera") == pytest.approx(paid)

    tried(tmp_path, work, an_edge(), a_cloud(Say("Nobody sails before noon " * 10)), budget_usd=0.001)


def test_what_has_no_price_is_not_asked_of_the_cloud_by_an_app_with_a_budget(tmp_path: Path) -> None:
    cloud = FakeCloud(Say("Noon"))

    async def work(world: World) -> None:
        async with world.client("camera") as camera:
            with pytest.raises(OverBudget, match="price"):
                await camera.answer(question("cloud_only"))
            assert (await camera.answer(question("post_arbitration"))).done.author == "edge"
        assert cloud.saw_nothing

    tried(tmp_path, work, an_edge(), cloud, budget_usd=5.0)


def test_a_call_without_a_bill_costs_its_app_no_more_than_its_worst_case(tmp_path: Path) -> None:
    cloud = a_cloud(Say("Nobody sails", after=1, error=RuntimeError("broken")))

    async def work(world: World) -> None:
        async with world.client("camera") as camera:
            with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is
                await camera.answer(question("cloud_only"))
            await until(lambda: world.place.router.floor.is_empty)
            assert 0 < await spent(world, "camera") < 0.01

    tried(tmp_path, work, an_edge(), cloud, budget_usd=5.0)


def test_what_is_owed_is_an_experiments_owners(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        async with world.client() as owner, world.client("camera") as camera:
            arms = (Arm(mode="edge_only", weight=1.0),)
            await owner.start_experiment(Experiment(name="trial", arms=arms, shadow="cloud_only", shadow_usd=1.0))
            mine = (await camera.answer(Question(text="When does the ferry sail?"))).done
            await until(lambda: len(world.place.cloud.prompts) == 1)
            await until(lambda: world.place.router.floor.is_empty)
            assert [one.record_id for one in await camera.records()] == [mine.record_id]
            [shadow] = [one for one in await owner.records() if one.shadow_of]
            assert (shadow.app, shadow.shadow_of) == ("camera", mine.record_id)
            assert shadow.cost_usd
            await refusal(camera.record(shadow.record_id), shadow.record_id)
            assert await spent(world, "camera") == 0

    tried(tmp_path, work, budget_usd=5.0)
