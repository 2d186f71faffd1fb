"""Information in full, both ways: corpora, a search server on loopback, and a model's facts, weighed and priced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloud.client import CloudClient
from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from cloud.server import service
from edgewise.errors import InvalidInput, NotFound, NotReady
from edgewise.rpc import start_server
from edgewise.types import CostBasis, Findings, Passage, Privacy, Query, Released, Text
from tests.clouds import Way, opened, run, ways
from tests.searxng import SearXNG, result
from tests.upstream import PROMPT_TOKENS

QUERY = Query(text=Text.ours("When is the lamp of the lighthouse in Skerry Vale lit?"))
CORPUS = "The lamp of the lighthouse in Skerry Vale is lit at nine o'clock.\n"
LIGHTHOUSE = "https://vale.example/lighthouse"
NUMBERS = result(
    LIGHTHOUSE,
    "In <b>Skerry&nbsp;Vale</b> the lamp of the lighthouse is lit at <i>nine</i>\x07 in the evening.",
    "The lighthouse of\n<b>Skerry Vale</b>",
    publishedDate="2024-05-01T10:00:00",
)
BREAD = "https://food.example/bread"
COOKING = result(BREAD, "Rye bread rests for a night before it is baked.", "Bread")
FACTS = "- The lamp of the lighthouse in Skerry Vale is lit when the sun has set.\n- Bread is made of flour.\n"


@pytest.fixture(scope="module")
def running() -> Iterator[SearXNG]:
    with SearXNG() as running:
        yield running


@pytest.fixture
def server(running: SearXNG) -> SearXNG:
    running.reset()
    running.results = [COOKING, NUMBERS]
    running.says = FACTS
    return running


Settings = Callable[..., CloudSettings]


@pytest.fixture
def settings(server: SearXNG, tmp_path: Path) -> Settings:
    """A gateway with a corpus, a search and facts, and what a test changes in it."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "lighthouse.txt").write_text(CORPUS)

    def make(**changes: object) -> CloudSettings:
        given = {
            "backend": "openai_compatible",
            "base_url": server.url,
            "model": "ok",
            "attempts": 1,
            "usd_per_mtok_prompt": 1.0,
            "usd_per_mtok_completion": 10.0,
            "corpora": (corpus,),
            "web_search_url": server.search_url,
            "facts": 3,
            "usd_per_fetch": 0.001,
            "usd_per_search": 0.005,
        }
        return CloudSettings.model_validate({**given, **changes})

    return make


async def fetch(settings: CloudSettings, data_dir: Path, way: Way = "in process", query: Query = QUERY) -> Findings:
    async with opened(settings, way, data_dir) as cloud:
        return await cloud.retrieve(Released(query))


def moment(stamp: str) -> datetime:
    assert stamp.endswith("Z")
    return datetime.fromisoformat(stamp)


def by_source(findings: Findings) -> dict[str, Passage]:
    return {passage.source: passage for passage in findings.passages}


@ways
def test_everything_that_the_gateway_knows(way: Way, settings: Settings, server: SearXNG, tmp_path: Path) -> None:
    async def main() -> None:
        asked = datetime.now(UTC).replace(microsecond=0)
        found = await fetch(settings(), tmp_path, way, QUERY.model_copy(update={"k": 10}))
        assert found.reason == ""
        assert [one.score for one in found.passages] == sorted((one.score for one in found.passages), reverse=True)
        assert found.answerable is not None
        assert 0.5 < found.answerable <= 1
        web, corpus = by_source(found)[LIGHTHOUSE], by_source(found)["corpus/lighthouse.txt"]
        fact, flour = (one for one in found.passages if one.source == "model:ok")
        assert web.text.value == "In Skerry Vale the lamp of the lighthouse is lit at nine in the evening."
        assert web.title == "The lighthouse of Skerry Vale"
        assert (fact.title, flour.text.value) == ("", "Bread is made of flour.")
        assert min(web.score, corpus.score, fact.score) > 0.5 > max(flour.score, by_source(found)[BREAD].score)
        for one in found.passages:
            assert one.text.label is Privacy.PUBLIC
            assert one.text.sources == (one.source,)
            assert (one.origin, one.stale) == ("cloud", False)
        assert web.as_of == "2024-05-01T10:00:00Z"
        for one, days in ((corpus, 7), (web, 1), (fact, 30)):
            assert asked <= moment(one.expires_at) - timedelta(days=days) <= datetime.now(UTC)
        assert asked <= moment(fact.as_of) <= datetime.now(UTC)
        assert len({one.id for one in found.passages}) == len(found.passages)

    run(main)


@ways
def test_the_cost_is_that_of_all_parts(way: Way, settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        found = await fetch(settings(), tmp_path, way)
        facts = (PROMPT_TOKENS + 10 * 2) / 1e6
        assert found.cost_usd == pytest.approx(0.001 + 0.005 + facts)
        assert found.cost_basis is CostBasis.BILLED
        without_facts = await fetch(settings(facts=0), tmp_path, way)
        assert without_facts.cost_usd == pytest.approx(0.006)
        uncounted = await fetch(settings(model="no-usage"), tmp_path, way)
        assert (uncounted.cost_usd, uncounted.cost_basis) == (None, None)
        assert uncounted.passages

    run(main)


@ways
def test_the_status_says_what_a_look_up_may_cost(way: Way, settings: Settings, tmp_path: Path) -> None:
    async def price(**changes: object) -> float | None:
        async with opened(settings(**changes), way, tmp_path) as cloud:
            return (await cloud.status()).usd_per_fetch

    async def main() -> None:
        found = await fetch(settings(), tmp_path, way)
        with_facts = await price()
        assert with_facts is not None
        assert found.cost_usd is not None
        assert 0.006 + 3 * 10 * 10 / 1e6 < with_facts < 0.02
        assert found.cost_usd < with_facts
        assert await price(facts=0) == pytest.approx(0.006)
        assert await price(facts=0, web_search_url="") == pytest.approx(0.001)
        assert await price(usd_per_mtok_prompt=None, usd_per_mtok_completion=None) is None
        assert await price(facts=0, usd_per_mtok_prompt=None, usd_per_mtok_completion=None) == pytest.approx(0.006)

    run(main)


def test_only_the_query_goes_up(settings: Settings, server: SearXNG, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("search-key\n")

    async def main() -> None:
        await fetch(settings(web_search_key_file=key), tmp_path)
        assert server.asked == [{"q": QUERY.text.value, "format": "json"}]
        assert server.search_keys == ["Bearer search-key"]
        (request,) = server.requests
        system, user = request["messages"]
        assert user["content"] == QUERY.text.value
        assert "You do not answer it." in system["content"]
        assert "at most 3 short facts" in system["content"]
        assert "nine" not in str(request)
        server.search_keys.clear()
        await fetch(settings(), tmp_path)
        assert server.search_keys == [""]

    run(main)


def test_words_that_a_search_would_obey_are_taken_as_words(settings: Settings, server: SearXNG, tmp_path: Path) -> None:
    async def main() -> None:
        query = Query(text=Text.ours("!!g !images :de <9 what is\na != b : c ! http://10.0.0.1/"))
        await fetch(settings(), tmp_path, query=query)
        assert [asked["q"] for asked in server.asked] == ["g images de 9 what is a != b : c  http://10.0.0.1/"]

    run(main)


@ways
def test_a_query_for_a_corpus_goes_nowhere_else(way: Way, settings: Settings, server: SearXNG, tmp_path: Path) -> None:
    async def main() -> None:
        for narrow in ({"collections": ("corpus",)}, {"source": "corpus/lighthouse.txt"}):
            found = await fetch(settings(), tmp_path, way, QUERY.model_copy(update=narrow))
            assert [one.source for one in found.passages] == ["corpus/lighthouse.txt"]
            assert found.cost_usd == pytest.approx(0.001)
        assert server.asked == []
        assert server.requests == []

    run(main)


def test_the_same_words_from_two_sources_come_once(settings: Settings, server: SearXNG, tmp_path: Path) -> None:
    server.results = [result("https://copy.example/", CORPUS.upper()), result("https://copy.example/2", CORPUS)]
    server.says = f"- {CORPUS}"

    async def main() -> None:
        found = await fetch(settings(), tmp_path)
        assert len(found.passages) == 1

    run(main)


def test_no_more_than_asked_for(settings: Settings, server: SearXNG, tmp_path: Path) -> None:
    server.results = [result(f"https://vale.example/{n}", f"The lamp in Skerry Vale, part {n}.") for n in range(40)]
    server.says = "".join(f"- The lamp has {n} lights.\n" for n in range(9))

    async def main() -> None:
        found = await fetch(settings(), tmp_path, query=QUERY.model_copy(update={"k": 3}))
        assert len(found.passages) == 3
        found = await fetch(settings(), tmp_path, query=QUERY.model_copy(update={"k": 100}))
        sources = [one.source for one in found.passages]
        assert sources.count("model:ok") == 3
        assert len(sources) == 1 + 20 + 3

    run(main)


def test_lifetimes_are_the_operators(settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        given = settings(corpora_days=2, web_days=0.5, facts_days=3)
        found = await fetch(given, tmp_path, query=QUERY.model_copy(update={"k": 10}))
        now = datetime.now(UTC)
        for source, days in (("corpus/lighthouse.txt", 2.0), (LIGHTHOUSE, 0.5), ("model:ok", 3.0)):
            left = moment(by_source(found)[source].expires_at) - now
            assert timedelta(days=days) - timedelta(minutes=1) < left <= timedelta(days=days)

    run(main)


def test_a_date_that_is_none_or_to_come_is_today(settings: Settings, server: SearXNG, tmp_path: Path) -> None:
    server.results = [
        result("https://vale.example/1", "The lamp in Skerry Vale is lit.", publishedDate="2999-01-01T00:00:00"),
        result("https://vale.example/2", "The lighthouse in Skerry Vale is white.", publishedDate="some day"),
        result("https://vale.example/3", "Skerry Vale has a lamp.", publishedDate=None),
    ]

    async def main() -> None:
        asked = datetime.now(UTC).replace(microsecond=0)
        found = await fetch(settings(corpora=(), facts=0), tmp_path)
        assert len(found.passages) == 3
        assert all(asked <= moment(one.as_of) <= datetime.now(UTC) for one in found.passages)

    run(main)


def test_a_query_in_another_script_is_weighed_by_its_words(settings: Settings, server: SearXNG, tmp_path: Path) -> None:
    server.results = [result("https://vale.example/zh", "灯塔的灯在九点点亮。"), COOKING]

    async def main() -> None:
        found = await fetch(settings(facts=0), tmp_path, query=Query(text=Text.ours("灯塔的灯什么时候点亮？")))
        assert found.passages[0].source == "https://vale.example/zh"
        assert found.reason == ""

    run(main)


def test_the_deadline_of_the_call_leaves_time_to_answer(settings: Settings, server: SearXNG, tmp_path: Path) -> None:
    server.behaves = "hang"

    async def main() -> None:
        gateway = await CloudGateway.open(settings(model="hang"), tmp_path)
        grpc_server, address = await start_server([service(gateway)], "127.0.0.1:0")
        client = CloudClient(address, timeout_s=60)
        started = time.monotonic()
        found = await client.retrieve(Released(QUERY), timeout_s=1.5)
        assert time.monotonic() - started < 1.5
        assert [one.source for one in found.passages] == ["corpus/lighthouse.txt"]
        assert "without web search: nothing came within 1." in found.reason
        assert "without facts of the model: nothing came within 1." in found.reason
        assert found.cost_usd is None  # the model was asked, and may have worked
        await client.close()
        await grpc_server.stop(0)
        await gateway.close()

    run(main)


def test_an_empty_query_is_the_requests_fault(settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(settings(), "over gRPC", tmp_path) as cloud:
            with pytest.raises(InvalidInput, match="the query is empty"):
                await cloud.retrieve(Released(Query(text=Text(value=" "))))

    run(main)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"embedder": "none-such"}, NotFound, "is no sentence embedder"),
        ({"web_search_key_file": Path("none-such")}, NotReady, r"cloud\.web_search_key_file"),
    ],
)
def test_what_is_not_there_is_named_at_the_start(
    changes: dict[str, object], kind: type[Exception], said: str, settings: Settings, tmp_path: Path
) -> None:
    async def main() -> None:
        with pytest.raises(kind, match=said):
            await fetch(settings(**changes), tmp_path)

    run(main)
