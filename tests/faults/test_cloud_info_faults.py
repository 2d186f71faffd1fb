"""A source of information that fails: the others are given, and what is missing has its reason."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from edgewise.types import Findings, Query, Released, Text
from tests.searxng import SearXNG, result

QUERY = Query(text=Text.ours("When is the lamp of the lighthouse in Skerry Vale lit?"))
SEARCH, FACTS = 0.005, 41e-6  # what each costs here: 21 prompt tokens and 2 pieces written


@pytest.fixture(scope="module")
def running() -> Iterator[SearXNG]:
    with SearXNG() as running:
        yield running


@pytest.fixture
def server(running: SearXNG) -> SearXNG:
    running.reset()
    running.results = [result("https://vale.example/", "The lamp in Skerry Vale is lit at nine.")]
    running.says = "- The lamp of the lighthouse is lit in the evening.\n- Skerry Vale has a lighthouse.\n"
    return running


Fetch = Callable[..., Findings]


@pytest.fixture
def fetch(server: SearXNG, tmp_path: Path) -> Fetch:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "lighthouse.txt").write_text("The lamp of the lighthouse is lit at nine o'clock.\n")
    given: dict[str, object] = {
        "backend": "openai_compatible",
        "base_url": server.url,
        "model": "ok",
        "attempts": 1,
        "usd_per_mtok_prompt": 1.0,
        "usd_per_mtok_completion": 10.0,
        "corpora": (tmp_path / "corpus",),
        "web_search_url": server.search_url,
        "usd_per_search": SEARCH,
        "facts": 2,
    }

    async def fetch(query: Query, settings: CloudSettings) -> Findings:
        gateway = await CloudGateway.open(settings, tmp_path)
        try:
            return await gateway.retrieve(Released(query))
        finally:
            await gateway.close()

    def run(query: Query = QUERY, **changes: object) -> Findings:
        return asyncio.run(fetch(query, CloudSettings.model_validate({**given, **changes})))

    return run


def kinds(findings: Findings) -> set[str]:
    """Which sources there are: the beginnings of their names."""
    return {passage.source.partition(":")[0].partition("/")[0] for passage in findings.passages}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("401", "wants another key (401); check cloud.web_search_key_file"),
        ("403", "json among search.formats"),
        ("404", "has no /search (404); check cloud.web_search_url"),
        ("429", "had too many searches (429)"),
        ("500", "failed (500); see its log"),
        ("html", "sent a web page instead of SearXNG's JSON; check cloud.web_search_url"),
        ("redirect", "sends searches elsewhere (302), where they do not go"),
        ("not json", "sent something else instead of SearXNG's JSON"),
        ("compressed", "sent something else instead of SearXNG's JSON"),
        ("deep", "sent something else instead of SearXNG's JSON"),
        ("other json", "sent something else instead of SearXNG's JSON"),
        ("number", "sent something else instead of SearXNG's JSON"),
        ("huge", "sent more than 2 MiB"),
        ("broken", "broke the connection"),
        ("hang", "nothing came within 1 s"),
    ],
)
def test_a_search_that_fails_is_missing_and_nothing_else(
    fault: str, said: str, fetch: Fetch, server: SearXNG, caplog: pytest.LogCaptureFixture
) -> None:
    server.behaves = fault
    with caplog.at_level(logging.WARNING, "cloud.info"):
        found = fetch(info_timeout_s=1)
    assert kinds(found) == {"corpus", "model"}
    assert found.reason.startswith("without web search: ")
    assert said in found.reason
    assert ";" not in found.reason or "facts" not in found.reason
    assert f"cloud info {found.reason}" in caplog.text
    assert QUERY.text.value not in caplog.text
    assert len(server.asked) == 1  # a redirect was not followed, and nothing tried again
    assert found.cost_usd == pytest.approx(SEARCH + FACTS)


def test_a_search_that_is_not_there_costs_nothing(fetch: Fetch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = fetch(web_search_url=f"http://me:secret@127.0.0.1:{port}")
    assert kinds(found) == {"corpus", "model"}
    assert f"without web search: the search at 127.0.0.1:{port} cannot be reached; start it" in found.reason
    assert found.cost_usd == pytest.approx(FACTS)


def test_a_search_that_hangs_is_left_and_its_connection_closed(fetch: Fetch, server: SearXNG) -> None:
    server.behaves = "hang"
    started = time.monotonic()
    fetch(info_timeout_s=0.5, facts=0)
    assert time.monotonic() - started < 5
    assert server.released.wait(5)


def test_a_search_whose_engines_are_down_says_so(fetch: Fetch, server: SearXNG) -> None:
    server.results, server.unresponsive = [], [["one", "timeout"], ["two", "CAPTCHA"]]
    assert "found nothing: 2 of its engines did not respond" in fetch().reason
    server.unresponsive = []
    assert fetch().reason == ""


def test_results_that_are_none_are_left_out(fetch: Fetch, server: SearXNG) -> None:
    server.results = [
        None,
        7,
        "text",
        [],
        {},
        {"title": "no url", "content": "The lamp is lit."},
        result("javascript:alert(1)", "The lamp is lit now."),
        result("file:///etc/passwd", "The lamp is lit here."),
        result("https://vale.example/a b", "The lamp is lit there."),
        result("https://vale.example/" + "x" * 3000, "The lamp is lit long."),
        result("https://vale.example/1", 7),
        result("https://vale.example/2", None),
        result("https://vale.example/3", "<img src=x>"),
        result("https://vale.example/4", "lamp " * 5000),
        result("https://vale.example/5", "The lamp is \ud800lit."),
        result("https://vale.example/6", "The lamp of Skerry Vale is lit at ten.", None),
    ]
    found = fetch(facts=0, corpora=())
    assert [one.source for one in found.passages] == ["https://vale.example/6"]
    assert found.reason == ""


def test_a_long_query_goes_no_further_than_the_corpora(fetch: Fetch, server: SearXNG) -> None:
    found = fetch(Query(text=Text.ours("When is the lamp lit? " * 200)))
    assert kinds(found) == {"corpus"}
    assert found.reason.count("the query has 4400 bytes, and 2000 are allowed") == 2
    assert found.cost_usd == 0
    assert server.asked == []
    assert server.requests == []


@pytest.mark.parametrize(
    ("model", "said", "facts", "cost"),
    [
        ("401", "asks for an API key", set(), SEARCH),
        ("429", "is overloaded", set(), SEARCH),
        ("500", "failed (500)", set(), SEARCH),
        ("hang", "nothing came within 1 s", set(), None),
        ("not-json", "is not a whole answer", set(), None),
        ("disconnect", "in the middle of an answer", {"The first.", "The second."}, None),
        ("hang-midway", "nothing came within 1 s", {"The first.", "The second."}, None),
    ],
)
def test_a_model_that_fails_is_missing_and_nothing_else(
    *, model: str, said: str, facts: set[str], cost: float | None, fetch: Fetch, server: SearXNG
) -> None:
    server.says = "- The first.\n- The second.\n- The third"
    found = fetch(Query(text=QUERY.text, k=20), model=model, info_timeout_s=1)
    assert {"corpus", "https"} <= kinds(found)
    assert found.reason.startswith("without facts of the model: ")
    assert said in found.reason
    known = {one.text.value for one in found.passages if one.source.startswith("model:")}
    assert known <= facts
    assert found.cost_usd == (None if cost is None else pytest.approx(cost))


def test_a_model_that_chats_knows_no_facts(fetch: Fetch, server: SearXNG) -> None:
    server.says = "I am sorry, but I cannot help with that.\nThe lamp is lit at nine.\n"
    found = fetch()
    assert kinds(found) == {"corpus", "https"}
    assert found.reason == ""


def test_an_answer_that_was_cut_off_loses_its_last_line(fetch: Fetch, server: SearXNG) -> None:
    server.says = "- The lamp of the lighthouse is lit at nine.\n- Skerry Vale lights its lamp at"
    found = fetch(model="length")
    known = [one.text.value for one in found.passages if one.source == "model:length"]
    assert known == ["The lamp of the lighthouse is lit at nine."]


def test_a_model_that_was_not_recorded_is_missing(fetch: Fetch, tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.jsonl"
    recorded.write_text('{"prompt": "Who wrote Hamlet?", "answer": "Shakespeare."}\n')
    found = fetch(backend="replay", replay_file=recorded)
    assert kinds(found) == {"corpus", "https"}
    assert found.reason.startswith("without facts of the model: ")


def test_a_store_that_breaks_is_missing_and_nothing_else(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.holdings import Library
    from edgewise.errors import NotReady

    async def broken(*_: object) -> None:
        raise NotReady("the documents cannot be used (disk I/O error); check the free space")

    monkeypatch.setattr(Library, "matching", broken)
    found = fetch()
    assert kinds(found) == {"https", "model"}
    assert found.reason == ("without the corpora: the documents cannot be used (disk I/O error); check the free space")
