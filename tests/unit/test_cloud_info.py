"""Cloud info without a server: what counts as a fact, what a snippet says, how parts are merged, what it may cost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloud.config import CloudSettings
from cloud.info import MAX_QUERY_BYTES
from cloud.info.facts import facts_in
from cloud.info.fetch import CloudInfo, merged
from cloud.info.searxng import SearXNG
from cloud.info.web import seen
from edgewise import settings
from edgewise.errors import InvalidInput, NotReady
from edgewise.types import CostBasis, Findings, Passage, Query, SideStatus, Text
from tests.sides import passage


@pytest.mark.parametrize(
    ("written", "facts"),
    [
        ("", []),
        ("- One.\n- Two.", ["One.", "Two."]),
        ("  - One.  \r\n-   Two.\n", ["One.", "Two."]),
        ("Here are some facts:\n- One.\n\nI hope that this helps!", ["One."]),
        ("I do not know anything about this.", []),
        ("NONE", []),
        ("1. One.\n* Two.\n-Three.\n\u2022 Four.", []),
        ("- One.\n- One.\n- ", ["One."]),
        ("- Who wrote Hamlet?\n- Is it so?\n- As follows:", []),
        ("- " + "long " * 100, []),
        ("- \u202eOne\x07.\x00\n- \u200b", ["One."]),
    ],
)
def test_only_lines_of_the_wanted_form_are_facts(written: str, facts: list[str]) -> None:
    assert facts_in(written, "Who wrote Hamlet?", is_whole=True) == facts


def test_the_question_is_no_fact_and_a_line_without_an_end_is_none() -> None:
    assert facts_in("- Name the author\n- A play.", "name the author", is_whole=True) == ["A play."]
    assert facts_in("- One.\n- Two and", "", is_whole=False) == ["One."]
    assert facts_in("- One and", "", is_whole=False) == []


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("plain", "plain"),
        ("<b>Eiffel</b> Tower<br/>&amp; more", "Eiffel Tower& more"),
        ("<SCRIPT type='x'>steal()</script>Text<style>p {}</style>", " Text "),
        ("<!-- hidden -->Text<!DOCTYPE html>", "Text"),
        ("3 < 5 and 7 > 2, a<-b", "3 < 5 and 7 > 2, a<-b"),
        ("<a href='http://x' onclick='y()'>link</a> <unclosed", "link <unclosed"),
        ("&lt;b&gt; is a tag", "<b> is a tag"),
    ],
)
def test_a_snippet_is_what_a_reader_sees(markup: str, text: str) -> None:
    assert seen(markup) == text


def test_the_best_come_first_each_once_and_no_more_than_asked_for() -> None:
    found = (
        passage("From a corpus.", score=0.5),
        passage("A fact.", score=0.9),
        passage("from a  CORPUS.", score=0.7),
        passage("Equal.", score=0.5),
        passage("Last.", score=0.1),
    )
    assert [one.text.value for one in merged(found, 10)] == ["A fact.", "from a  CORPUS.", "Equal.", "Last."]
    assert len(merged(found, 2)) == 2
    tied = (passage("the same", score=0.5), passage("The same", score=0.5))
    assert merged(tied, 4) == tied[:1]


class FakeSource:
    name = "a source"

    def __init__(self, findings: Findings, most: float | None = 0.0) -> None:
        self._findings = findings
        self._most = most

    async def look_up(self, query: Query, timeout_s: float) -> Findings:
        return self._findings

    def most_usd(self, backend: SideStatus) -> float | None:
        return self._most


def info_of(*sources: FakeSource, usd_per_fetch: float = 1.0, basis: CostBasis = CostBasis.BILLED) -> CloudInfo:
    return CloudInfo(None, sources, (usd_per_fetch, basis), 1.0, AsyncExitStack())


def part(cost: float | None, basis: CostBasis | None = None, passages: Sequence[Passage] = ()) -> FakeSource:
    return FakeSource(Findings(cost_usd=cost, cost_basis=basis, passages=tuple(passages)))


def ask(info: CloudInfo) -> Findings:
    return asyncio.run(info.retrieve(Query(text=Text.ours("what"))))


@pytest.mark.parametrize(
    ("parts", "cost", "basis"),
    [
        ((), 1.0, CostBasis.BILLED),
        ((part(0.0),), 1.0, CostBasis.BILLED),
        ((part(0.5, CostBasis.BILLED), part(0.25, CostBasis.NOTIONAL)), 1.75, CostBasis.NOTIONAL),
        ((part(0.5, CostBasis.NOTIONAL), part(0.25, CostBasis.SIMULATED)), 1.75, CostBasis.SIMULATED),
        ((part(0.5, CostBasis.BILLED), part(None)), None, None),
    ],
)
def test_the_cost_is_a_sum_or_unknown(
    parts: tuple[FakeSource, ...], cost: float | None, basis: CostBasis | None
) -> None:
    found = ask(info_of(*parts))
    assert (found.cost_usd, found.cost_basis) == (cost, basis)


def test_answerable_is_the_best_that_any_part_says() -> None:
    assert ask(info_of(part(0.0))).answerable is None
    some = FakeSource(Findings(answerable=0.3, cost_usd=0.0)), FakeSource(Findings(answerable=0.7, cost_usd=0.0))
    assert ask(info_of(*some, part(0.0))).answerable == 0.7


def test_the_most_that_a_look_up_costs_is_a_sum_or_unknown() -> None:
    status = SideStatus(ready=True)
    nothing = Findings()
    assert info_of(FakeSource(nothing, 0.5), FakeSource(nothing, 0.25)).most_usd(status) == 1.75
    assert info_of(FakeSource(nothing, 0.5), FakeSource(nothing, None)).most_usd(status) is None


def test_an_empty_query_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the query is empty"):
        asyncio.run(info_of().retrieve(Query(text=Text.ours(" \u200b\n"))))


def test_a_query_in_a_url_is_short_enough_for_servers() -> None:
    assert 3 * MAX_QUERY_BYTES < 8000  # a byte is three characters at the worst, and 8 kB are what most take


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"web_search_url": "somewhere:8888"}, "must be an http"),
        ({"web_search_url": "http://host/?q="}, "front page"),
        ({"web_search_url": "http://host/#top"}, "front page"),
        ({"usd_per_search": -1}, "cloud.usd_per_search"),
        ({"facts": 21}, "cloud.facts"),
        ({"info_timeout_s": 0}, "cloud.info_timeout_s"),
        ({"web_days": 0}, "cloud.web_days"),
    ],
)
def test_a_bad_setting_is_refused(
    given: dict[str, object], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEWISE_CONFIG", str(tmp_path / "edgewise.toml"))
    with pytest.raises(InvalidInput, match=complaint):
        settings.load(CloudSettings, given)


@pytest.mark.parametrize("content", ["two\nlines", "clé"])
def test_a_key_that_no_header_can_hold_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(NotReady, match=r"cloud\.web_search_key_file holds more than a key") as caught:
        SearXNG(CloudSettings(web_search_url="http://127.0.0.1:1", web_search_key_file=file))
    assert content not in caught.value.message


def test_the_date_of_a_result_is_a_time_or_nothing() -> None:
    from cloud.info.searxng import date

    moment = datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert date("2024-05-01T10:00:00") == moment
    assert date("2024-05-01T12:00:00+02:00") == moment
    assert date("2024-05-01") == moment - timedelta(hours=10)
    assert [date(given) for given in ("yesterday", None, 7, "0001-01-01T00:00:00+14:00")] == [None] * 4
