"""A local server that fails: every failure is typed, says what to do, and never passes for a short answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from edge.config import EdgeSettings
from edge.openai_url import OpenAIUrlEngine
from edgewise.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EdgeUnavailable,
    EdgewiseError,
    InvalidInput,
    NotReady,
    Overloaded,
)
from edgewise.types import Options
from tests.edges import finished, prompt
from tests.local_server import LLAMA_SERVER, PLAIN, LocalServer
from tests.upstream import KEY


@pytest.fixture(scope="module")
def running() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def server(running: LocalServer) -> LocalServer:
    running.behaves = "ok"
    running.pages = dict(PLAIN)
    running.reset()
    return running


def tried(
    server: LocalServer, attempt: Callable[[OpenAIUrlEngine], Awaitable[None]], behaves: str = "ok", **changes: object
) -> None:
    """With an engine whose server behaves badly from its first question on."""

    async def main() -> None:
        given = {"engine": "openai_url", "base_url": server.url, **changes}
        engine = await OpenAIUrlEngine.open(EdgeSettings.model_validate(given))
        try:
            server.behaves = behaves
            server.reset()
            await attempt(engine)
        finally:
            await engine.close()

    asyncio.run(main())


def failure(server: LocalServer, behaves: str, options: Options = Options(), **changes: object) -> EdgewiseError:
    found: list[EdgewiseError] = []

    async def attempt(engine: OpenAIUrlEngine) -> None:
        with pytest.raises(EdgewiseError) as caught:
            await finished(engine.generate(prompt(), options))
        assert engine.load.running == 0
        found.append(caught.value)

    tried(server, attempt, behaves, **changes)
    assert len(server.requests) == 1, "nothing is tried twice"
    return found[0]


@pytest.mark.parametrize(
    ("behaves", "kind", "advice"),
    [
        ("401", NotReady, "check edge.api_key_file"),
        ("404", NotReady, "has no model 'tiny': it has tiny; name one in edge.server_model"),
        ("400", InvalidInput, "temperature must be 1"),
        ("context", ContextOverflow, "too many tokens"),
        ("429", Overloaded, "is busy (429)"),
        ("503", Overloaded, "Loading model; try again later"),
        ("500", EdgeUnavailable, "failed (500): oops; see its log"),
        ("html", EdgeUnavailable, "check edge.base_url"),
        ("redirect", EdgeUnavailable, "HTTP 307; check edge.base_url"),
        ("not-json", EdgeUnavailable, "check edge.base_url"),
        ("not-utf8", EdgeUnavailable, "check edge.base_url"),
        ("other-json", EdgeUnavailable, "check edge.base_url"),
        ("null", EdgeUnavailable, "check edge.base_url"),
        ("disconnect", EdgeUnavailable, "in the middle of an answer; ask again"),
        ("error-midway", EdgeUnavailable, "the engine died"),
        ("short", EdgeUnavailable, "not a whole answer"),
        ("filter", EdgeUnavailable, "withheld its answer (content_filter)"),
    ],
)
def test_a_failure_says_what_to_do(server: LocalServer, behaves: str, kind: type[EdgewiseError], advice: str) -> None:
    error = failure(server, behaves)
    assert type(error) is kind
    assert advice in error.message
    assert KEY not in error.message
    assert error.retry_after_s == (7 if behaves == "429" else None)


# --- at the start -----------------------------------------------------------------------------------------------------


def refusal(base_url: str, **changes: object) -> EdgewiseError:
    given = {"engine": "openai_url", "base_url": base_url, **changes}
    with pytest.raises(EdgewiseError) as caught:
        asyncio.run(OpenAIUrlEngine.open(EdgeSettings.model_validate(given)))
    return caught.value


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = refusal(f"http://127.0.0.1:{port}/v1")
    assert type(error) is EdgeUnavailable
    assert error.message == f"the server at 127.0.0.1:{port} cannot be reached; start it, or check edge.base_url"


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refusal(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", timeout_s=0.3)
    assert type(error) is EdgeUnavailable
    assert "sent nothing for 0.3 s; ask again, or raise edge.timeout_s" in error.message


@pytest.mark.parametrize("page", [{"models": []}, [], "hello", None], ids=["another API", "list", "text", "none"])
def test_a_server_of_another_kind(server: LocalServer, page: object) -> None:
    server.pages["/v1/models"] = page
    error = refusal(server.url)
    assert type(error) is NotReady
    assert "check edge.base_url" in error.message


@pytest.mark.parametrize(
    ("behaves", "kind"),
    [("503", Overloaded), ("500", EdgeUnavailable), ("disconnect", EdgeUnavailable), ("401", NotReady)],
)
def test_a_server_that_fails_while_it_is_tried(server: LocalServer, behaves: str, kind: type[EdgewiseError]) -> None:
    server.behaves = behaves
    assert type(refusal(server.url)) is kind


class Redirecting(LocalServer):
    """Sends whoever lists its models to another place."""

    elsewhere = ""

    async def _page(self, request: Request) -> Response:
        return RedirectResponse(self.elsewhere + request.url.path, 307) if self.elsewhere else HTMLResponse("<html>")


def test_no_redirect_is_followed(server: LocalServer) -> None:
    with Redirecting() as redirecting:
        assert type(refusal(redirecting.url)) is NotReady, "a page is no list of models"
        redirecting.elsewhere = server.url.removesuffix("/v1")
        error = refusal(redirecting.url)
    assert type(error) is EdgeUnavailable
    assert "HTTP 307" in error.message
    assert server.requests == []


# --- slow, cancelled, closed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaves", ["hang", "hang-midway", "keep-alive"])
def test_who_waits_too_long_is_told_and_the_server_is_left(server: LocalServer, behaves: str) -> None:
    error = failure(server, behaves, timeout_s=0.3)
    assert type(error) is EdgeUnavailable
    assert "sent nothing for 0.3 s" in error.message
    assert server.released.wait(10)


@pytest.mark.parametrize("behaves", ["hang", "hang-midway", "keep-alive"])
def test_a_deadline_ends_an_answer_and_the_server_is_left(server: LocalServer, behaves: str) -> None:
    error = failure(server, behaves, Options(timeout_s=0.3))
    assert type(error) is DeadlineExceeded
    assert server.released.wait(10)


def test_who_leaves_frees_the_server(server: LocalServer) -> None:
    async def attempt(engine: OpenAIUrlEngine) -> None:
        async with aclosing(engine.generate(prompt(), Options())) as events:
            await anext(events)
            assert engine.load.running == 1
        assert engine.load.running == 0
        assert await asyncio.to_thread(server.released.wait, 10)

    tried(server, attempt, "hang-midway")


def test_one_request_too_many_is_refused(server: LocalServer) -> None:
    async def attempt(engine: OpenAIUrlEngine) -> None:
        async with aclosing(engine.generate(prompt(), Options())) as events:
            await anext(events)
            with pytest.raises(Overloaded):
                await finished(engine.generate(prompt(), Options()))
        server.behaves = "ok"
        await finished(engine.generate(prompt(), Options()))

    tried(server, attempt, "hang-midway", max_queue=1)


def test_a_closed_engine_ends_what_runs_and_refuses_what_comes(server: LocalServer) -> None:
    async def attempt(engine: OpenAIUrlEngine) -> None:
        running = asyncio.create_task(finished(engine.generate(prompt(), Options())))
        assert await asyncio.to_thread(server.arrived.wait, 10)
        await engine.close()
        for work in (running, finished(engine.generate(prompt(), Options()))):
            with pytest.raises(EdgeUnavailable):
                await work

    tried(server, attempt, "hang-midway")


def test_a_tokenizer_that_goes_away() -> None:
    with LocalServer(LLAMA_SERVER) as server:

        async def attempt(engine: OpenAIUrlEngine) -> None:
            assert await engine.tokenize("x") == (5, 6)
            del server.pages["/tokenize"]
            with pytest.raises(EdgeUnavailable):
                await engine.tokenize("x")

        tried(server, attempt)
