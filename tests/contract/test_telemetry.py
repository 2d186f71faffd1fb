"""A real router, telemetry on, and a collector on loopback: what arrives there, and what never does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from edgewise.errors import CloudUnavailable, EdgeUnavailable, EdgewiseError
from edgewise.types import Grade, Privacy, Record
from router.telemetry import names
from router.telemetry.config import TelemetrySettings
from router.telemetry.spans import measurements_of, spans_of
from router.telemetry.telemetry import Telemetry
from tests.boundaries import ALLOWING
from tests.collectors import Collector, collecting, values
from tests.routers import VARIANTS, Place, a_cloud, an_edge, place, question
from tests.sides import FakeCloud, FakeEdge, Say, passage

SECRET = "xyzzy-4711"


def sent(
    directory: Path,
    work: Callable[[Place], Awaitable[None]],
    edge: FakeEdge | None = None,
    cloud: FakeCloud | None = None,
    **settings: Any,
) -> Collector:
    """What a collector has when the router has closed."""

    async def main(telemetry: Telemetry) -> None:
        try:
            async with place(directory, edge or an_edge(), cloud or a_cloud(), observers=(telemetry,)) as opened:
                await work(opened)
        finally:
            await asyncio.to_thread(telemetry.close)

    with collecting() as collector:
        asyncio.run(main(Telemetry.open(TelemetrySettings(otlp_endpoint=collector.url, **settings), ALLOWING)))
    return collector


def asked(mode: str, **given: object) -> Callable[[Place], Awaitable[None]]:
    async def work(opened: Place) -> None:
        await opened.ask(question(mode, **given))

    return work


async def graded(opened: Place, record: Record, score: float, grader: str = "zoe") -> None:
    grade = Grade(record_id=record.record_id, grader=grader, score=score, comment=f"because {SECRET}")
    await opened.router.grade(grade)


# --- traces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", VARIANTS)
def test_a_question_is_a_trace_of_its_side_calls(tmp_path: Path, mode: str) -> None:
    kept: list[Record] = []

    async def work(opened: Place) -> None:
        await opened.ask(question(mode))
        kept.extend(await opened.records(1))

    collector = sent(tmp_path, work)
    [record] = kept
    [root] = [span for span in collector.spans if not span.parent_span_id]
    calls = [span for span in collector.spans if span.parent_span_id]
    assert len(calls) == len(record.calls) > 0
    assert {span.trace_id.hex() for span in collector.spans} == {record.record_id}
    assert {span.parent_span_id for span in calls} == {root.span_id}
    assert len({span.span_id for span in collector.spans}) == 1 + len(calls)
    for span in collector.spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    assert [values(event.attributes)[names.STEP_NAME] for event in root.events] == [step.name for step in record.steps]


@pytest.mark.parametrize("mode", ["post_arbitration", "agent", "cloud_info_edge_rag"])
def test_tokens_and_money_are_the_records(tmp_path: Path, mode: str) -> None:
    kept: list[Record] = []

    async def work(opened: Place) -> None:
        await opened.ask(question(mode))
        kept.extend(await opened.records(1))

    collector = sent(tmp_path, work)
    [record] = kept
    of_calls = [values(span.attributes) for span in collector.spans if span.parent_span_id]
    for side, tokens in (("edge", record.usage.edge), ("cloud", record.usage.cloud)):
        of_side = [call for call in of_calls if call[names.SIDE] == side]
        assert sum(call.get(names.INPUT_TOKENS, 0) for call in of_side) == tokens.prompt_tokens
        assert sum(call.get(names.OUTPUT_TOKENS, 0) for call in of_side) == tokens.completion_tokens
    [root] = [values(span.attributes) for span in collector.spans if not span.parent_span_id]
    assert root[names.COST_USD] == record.cost_usd
    assert root[names.MODE] == record.mode
    assert root[names.AUTHOR] == record.author
    for name, wanted in (
        (names.INPUT_USED.name, record.usage.edge.prompt_tokens + record.usage.cloud.prompt_tokens),
        (names.OUTPUT_USED.name, record.usage.edge.completion_tokens + record.usage.cloud.completion_tokens),
    ):
        assert sum(point.as_int for point in collector.metrics[name].sum.data_points) == wanted


def test_calls_have_the_names_of_the_conventions(tmp_path: Path) -> None:
    async def work(opened: Place) -> None:
        await opened.ask(question("cloud_info_edge_rag", sampling={"max_tokens": 33, "temperature": 0.5, "seed": 7}))

    collector = sent(tmp_path, work)
    by_name = {span.name: values(span.attributes) for span in collector.spans}
    assert set(by_name) == {
        "invoke_workflow cloud_info_edge_rag",
        "retrieval edge",
        "retrieval cloud",
        "read edge",
        "chat fake-edge",
    }
    chat = by_name["chat fake-edge"]
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "edgewise",
        "gen_ai.request.model": "fake-edge",
        "gen_ai.response.model": "fake-edge",
        "gen_ai.request.max_tokens": 33,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.response.finish_reasons": ["stop"],
    }
    assert chat | wanted == chat
    assert chat["gen_ai.response.time_to_first_chunk"] >= 0
    assert by_name["retrieval cloud"]["gen_ai.data_source.id"] == "cloud"
    assert by_name["retrieval cloud"]["gen_ai.retrieval.top_k"] > 0


def test_the_agent_is_invoked_and_the_other_modes_are_workflows(tmp_path: Path) -> None:
    [root] = [span for span in sent(tmp_path, asked("agent")).spans if not span.parent_span_id]
    assert root.name == "invoke_agent agent"
    assert root.kind == Span.SPAN_KIND_INTERNAL
    assert values(root.attributes)["gen_ai.agent.name"] == "agent"


def test_a_failure_has_its_code_and_no_words(tmp_path: Path) -> None:
    async def work(opened: Place) -> None:
        with pytest.raises(EdgewiseError):
            await opened.ask(question("edge_only"))

    broken = Say("The ferry", after=1, error=CloudUnavailable(f"no {SECRET} here"))
    edge = an_edge()
    edge.answers = [broken]
    collector = sent(tmp_path, work, edge)
    for span in collector.spans:
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert not span.status.message
        assert values(span.attributes)["error.type"] == "UNAVAILABLE"
    assert SECRET.encode() not in collector.everything


def test_only_the_share_of_traces_that_was_wanted_is_sent_and_all_metrics_are(tmp_path: Path) -> None:
    collector = sent(tmp_path, asked("edge_only"), sample_ratio=0)
    assert collector.spans == []
    assert names.ANSWER_DURATION.name in collector.metrics


def test_every_name_that_is_sent_is_in_one_module(tmp_path: Path) -> None:
    ours = {value for value in vars(names).values() if isinstance(value, str)}

    async def work(opened: Place) -> None:
        for mode in VARIANTS:
            await opened.ask(question(mode, privacy="PUBLIC", conversation_id="c", sampling={"top_k": 3, "seed": 1}))
        opened.edge.down = EdgeUnavailable("gone")
        with suppress(EdgewiseError):
            await opened.ask(question("edge_only"))
        for record in await opened.records(1):
            await graded(opened, record, 0.5)

    collector = sent(tmp_path, work, content=True)
    events = [event for span in collector.spans for event in span.events]
    metrics = collector.metrics.values()
    attributes = [
        *(span.attributes for span in collector.spans), *(event.attributes for event in events),
        *(grade.attributes for grade in collector.events),
        *(point.attributes for metric in metrics for point in metric.sum.data_points),
        *(point.attributes for metric in metrics for point in metric.histogram.data_points),
    ]  # fmt: skip
    sent_names = {one.key for held in attributes for one in held}
    assert len(sent_names) > 40
    assert {name for name in sent_names if not name.startswith(names.STEP_NUMBER)} <= ours
    assert {event.name for event in events} == {names.STEP}


def test_arms_and_shadow_answers_are_told(tmp_path: Path) -> None:
    kept: list[Record] = []

    async def work(opened: Place) -> None:
        await opened.ask(question("edge_only"))
        kept.extend(await opened.records(1))

    sent(tmp_path, work)
    told = {"experiment": "harbour", "arm": "cascade", "shadow_of": "f" * 32}
    shadow = kept[0].model_copy(update=told)
    [root] = spans_of(shadow, (), content=True)
    attributes = values(root.attributes)
    assert {name: attributes[f"edgewise.{name}"] for name in told} == told
    duration = next(iter(measurements_of(shadow, ())))
    assert duration.attributes["edgewise.arm"] == "cascade"
    assert duration.attributes["edgewise.shadow"] == "true"
    assert "f" * 32 not in duration.attributes.values()


# --- metrics and grades -----------------------------------------------------------------------------------------------


def test_metrics_have_the_boundaries_that_the_conventions_advise(tmp_path: Path) -> None:
    metrics = sent(tmp_path, asked("post_arbitration")).metrics
    assert set(metrics) == {instrument.name for instrument in names.INSTRUMENTS}
    for instrument in names.INSTRUMENTS:
        metric = metrics[instrument.name]
        assert metric.unit == instrument.unit
        assert metric.HasField("histogram" if instrument.boundaries else "sum")
        for point in metric.histogram.data_points:
            assert tuple(point.explicit_bounds) == instrument.boundaries


def test_a_grade_that_comes_later_belongs_to_the_trace(tmp_path: Path) -> None:
    kept: list[Record] = []

    async def work(opened: Place) -> None:
        await opened.ask(question("edge_only"))
        kept.extend(await opened.records(1))
        await graded(opened, kept[0], 0.0)
        await graded(opened, kept[0], 1.0, "judge:large")

    collector = sent(tmp_path, work)
    [root] = [span for span in collector.spans if not span.parent_span_id]
    assert len(collector.events) == 2
    for event, score, label, kind in zip(
        collector.events, (0.0, 1.0), ("incorrect", "correct"), ("user", "judge"), strict=True
    ):
        assert event.event_name == "gen_ai.evaluation.result"
        assert (event.trace_id, event.span_id) == (root.trace_id, root.span_id)
        told = values(event.attributes)
        assert told["gen_ai.evaluation.score.value"] == score
        assert told["gen_ai.evaluation.score.label"] == label
        assert told["gen_ai.response.id"] == kept[0].record_id
        assert told["edgewise.grader"] == kind
    assert b"zoe" not in collector.everything


# --- content ----------------------------------------------------------------------------------------------------------


async def tell_secrets(opened: Place, mode: str, privacy: Privacy) -> None:
    """Asks with a secret in everything that has words, then grades with one."""
    given = {"text": f"When does {SECRET} sail?", "user_id": SECRET, "conversation_id": SECRET, "privacy": privacy}
    with suppress(EdgewiseError):
        await opened.ask(question(mode, **given))
    [record] = await opened.records(1)
    await graded(opened, record, 0.5, SECRET)


def telling_sides(label: Privacy) -> tuple[FakeEdge, FakeCloud]:
    found = passage(f"The {SECRET} sails at nine.", label=label)
    edge = FakeEdge(Say(f"The {SECRET} sails at nine"), passages=(found,), tools=("library", "search"))
    cloud = FakeCloud(Say(f"{SECRET} never sails"), passages=(found,), usd_per_mtok=1.0)
    return edge, cloud


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize("label", [Privacy.PRIVATE, Privacy.UNKNOWN, Privacy.PUBLIC])
@pytest.mark.parametrize("mode", VARIANTS)
def test_no_content_leaves_but_public_content_on_demand(
    tmp_path: Path, mode: str, label: Privacy, content: bool
) -> None:
    async def work(opened: Place) -> None:
        await tell_secrets(opened, mode, label)

    collector = sent(tmp_path, work, *telling_sides(label), content=content)
    assert len(collector.spans) >= 1
    assert len(collector.events) == 1
    assert (SECRET.encode() in collector.everything) is (content and label is Privacy.PUBLIC)


def test_an_error_message_is_content(tmp_path: Path) -> None:
    async def work(opened: Place) -> None:
        opened.cloud.down = CloudUnavailable(f"{SECRET} is down")
        await tell_secrets(opened, "cloud_only", Privacy.UNKNOWN)

    collector = sent(tmp_path, work)
    [root] = [span for span in collector.spans if not span.parent_span_id]
    assert values(root.attributes)[names.DEGRADED] is True
    assert SECRET.encode() not in collector.everything


def test_a_public_question_that_was_answered_from_what_is_not_public_stays_here(tmp_path: Path) -> None:
    edge, cloud = telling_sides(Privacy.UNKNOWN)

    async def work(opened: Place) -> None:
        await opened.ask(question("edge_only+rag", text="When does it sail?", privacy="PUBLIC"))

    collector = sent(tmp_path, work, edge, cloud, content=True)
    assert SECRET.encode() not in collector.everything
    assert b"When does it sail?" not in collector.everything


def test_a_public_record_of_calls_that_were_not_public_has_no_content(tmp_path: Path) -> None:
    """An answer that failed has no label of its own: those of what it was to be written from count."""
    kept: list[Record] = []
    edge, cloud = telling_sides(Privacy.UNKNOWN)
    edge.answers = [Say("The ferry", after=1, error=EdgeUnavailable("gone"))]

    async def work(opened: Place) -> None:
        with suppress(EdgewiseError):
            await opened.ask(question("edge_only+rag", text="When does it sail?", privacy="PUBLIC"))
        kept.extend(await opened.records(1))

    collector = sent(tmp_path, work, edge, cloud, content=True)
    assert kept[0].privacy is Privacy.PUBLIC
    assert len(collector.spans) > 1
    assert SECRET.encode() not in collector.everything
    assert b"When does it sail?" not in collector.everything


def test_public_content_has_the_names_of_the_conventions(tmp_path: Path) -> None:
    collector = sent(tmp_path, asked("edge_only", privacy="PUBLIC"), content=True)
    for span in collector.spans:
        told = values(span.attributes)
        assert "When does the ferry sail?" in told["gen_ai.input.messages"]
        assert "The ferry sails at nine" in told["gen_ai.output.messages"]
