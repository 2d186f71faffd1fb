"""One suite for every edge: in this process, over gRPC, with the real model, on a server, and with recorded answers."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Sequence

import pytest

from edge.client import EdgeClient
from edge.ingest.identity import document_id
from edge.node import EdgeNode
from edgewise.errors import ContextOverflow, InvalidInput, NotFound, NotReady, TooLarge
from edgewise.ports import Edge
from edgewise.types import CostBasis, Ingested, Privacy, Query, Text, Upload
from tests.edges import MAX_BYTES, Way, finished, options, prompt, upload


def _is_a_port(_: Edge) -> None:
    """For mypy to check."""


def tried(way: Way, attempt: Callable[[EdgeNode | EdgeClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with way.edge() as edge:
            _is_a_port(edge)
            await attempt(edge)

    asyncio.run(main())


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


# --- generating -------------------------------------------------------------------------------------------------------


def test_chunks_then_one_completion(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        chunks, completion = await finished(edge.generate(prompt(), options()))
        logprobs = [logprob for chunk in chunks for logprob in chunk.logprobs]
        assert "".join(chunk.text for chunk in chunks)
        status = await edge.status()
        assert len(logprobs) == (0 if way.is_told else completion.tokens.completion_tokens)
        assert all(logprob <= 0 for logprob in logprobs)
        assert completion.tokens.prompt_tokens > 0
        assert (completion.model, completion.model_hash) == (status.model, status.model_hash)

    tried(way, attempt)


def test_an_hour_of_the_machine_has_its_price(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        _, completion = await finished(edge.generate(prompt(), options(2)))
        if way.replays:
            assert (completion.cost_usd, completion.cost_basis) == (0.5, CostBasis.SIMULATED)
            return
        timings = completion.timings
        if way.is_told:
            assert (timings.prompt_s, completion.cost_usd) == (None, None), "the server does not say how long it took"
            return
        assert timings.prompt_s is not None
        assert timings.decode_s is not None
        assert completion.cost_usd == pytest.approx((timings.prompt_s + timings.decode_s) * 0.0001)
        assert completion.cost_basis is CostBasis.BILLED

    tried(way, attempt)


def test_a_closed_generation_frees_the_engine(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        events = edge.generate(prompt(), options(400))
        await anext(events)
        await events.aclose()
        await finished(edge.generate(prompt(), options(1)))
        assert (await edge.status()).queued == 0

    tried(way, attempt)


def test_bad_prompts(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        wanted = NotFound if way.replays else ContextOverflow
        with pytest.raises(wanted):
            await finished(edge.generate(prompt("word " * 1000), options()))
        if way.is_remote:
            with pytest.raises(TooLarge):
                await finished(edge.generate(prompt("x" * 1_100_000), options()))

    tried(way, attempt)


def test_scores_and_tokens(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        question = prompt("The capital of France is")
        if way.replays or way.is_told:
            with pytest.raises(NotReady):
                await edge.score(question, (" Paris",))
            with pytest.raises(NotReady):
                await edge.tokenize("Paris")
            return
        right, wrong = (await edge.score(question, ("Paris", "Gearbox"))).logprobs
        assert wrong < right < 0
        assert len(await edge.tokenize("Paris, Paris")) > len(await edge.tokenize("Paris")) > 0

    tried(way, attempt)


def test_an_answer_obeys_its_schema_or_the_wish_is_refused(way: Way) -> None:
    schema = '{"type": "object", "properties": {"n": {"const": 7}}, "required": ["n"], "additionalProperties": false}'

    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        asked = options(32).model_copy(update={"response_schema": schema})
        if "grammar" in (await edge.status()).capabilities:
            chunks, _ = await finished(edge.generate(prompt(), asked))
            assert json.loads("".join(chunk.text for chunk in chunks)) == {"n": 7}
            return
        with pytest.raises(NotReady, match="grammar"):
            await finished(edge.generate(prompt(), asked))

    tried(way, attempt)


@pytest.mark.parametrize(("capability", "asked"), [("adapters", {"adapter": "x"}), ("surprisal", {"surprisal": True})])
def test_what_an_engine_lacks_is_refused(way: Way, capability: str, asked: dict[str, str | bool]) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        if capability not in (await edge.status()).capabilities:
            with pytest.raises(NotReady, match=capability):
                await finished(edge.generate(prompt(), options().model_copy(update=asked)))

    tried(way, attempt)


# --- knowing ----------------------------------------------------------------------------------------------------------


def test_vectors_are_normalised_at_any_length(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        near, far, long = await edge.embed(("A cat sleeps.", "Interest rates rose.", "A cat sleeps. " * 300))
        assert all(math.hypot(*vector) == pytest.approx(1, abs=1e-4) for vector in (near, far, long))
        assert dot(near, long) > dot(far, long)
        assert await edge.embed(()) == ()
        with pytest.raises(InvalidInput):
            await edge.embed(("  ",))

    tried(way, attempt)


def test_what_was_ingested_is_found(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        file = upload(label=Privacy.PRIVATE)
        assert await edge.ingest(file) == Ingested(source="hours.md", status="INGESTED", passages=2)
        query = Query(text=Text(value="How much is a ticket?"), collections=(file.collection,))
        findings = await edge.retrieve(query)
        first, second = findings.passages
        assert first.text == Text(value="A ticket costs seven euros.", label=Privacy.PRIVATE, sources=("hours.md",))
        assert (first.title, first.source, first.origin) == ("Gate museum > Tickets", "hours.md", "edge")
        assert 1 >= first.score > second.score
        assert findings.elapsed_s is not None
        long = query.model_copy(update={"text": Text(value="How much is a ticket? " * 200)})
        assert (await edge.retrieve(long)).passages[0].id == first.id
        (document,) = await edge.documents(file.collection)
        assert (document.title, document.passages, document.label) == ("Gate museum", 2, Privacy.PRIVATE)
        assert document.id == document_id(file.collection, file.source, [file.data[:7], file.data[7:]])
        await edge.delete_document(document.id)
        assert (await edge.retrieve(query)).passages == ()
        with pytest.raises(NotFound):
            await edge.delete_document(document.id)
        with pytest.raises(InvalidInput):
            await edge.retrieve(Query(text=Text(value=" \n")))

    tried(way, attempt)


def test_a_file_that_comes_again(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        file = upload(label=Privacy.PRIVATE)
        collection = file.collection
        await edge.ingest(file)
        assert (await edge.ingest(file)).status == "UNCHANGED"
        unlabelled = file.model_copy(update={"label": Privacy.UNKNOWN})
        assert (await edge.ingest(unlabelled)).status == "UNCHANGED"
        never = unlabelled.model_copy(update={"source": "never.md"})
        await edge.ingest(never)
        (document,) = [one for one in await edge.documents(collection) if one.source == never.source]
        assert document.label is Privacy.UNKNOWN
        await edge.delete_document(document.id)
        changed = unlabelled.model_copy(update={"data": b"The doors open at ten."})
        assert await edge.ingest(changed) == Ingested(source="hours.md", status="INGESTED", passages=1)
        (document,) = await edge.documents(collection)
        assert document.label is Privacy.PRIVATE
        assert (await edge.ingest(changed.model_copy(update={"label": Privacy.PUBLIC}))).status == "INGESTED"
        (passage,) = (await edge.retrieve(Query(text=Text(value="doors"), collections=(collection,)))).passages
        assert passage.text == Text(value="The doors open at ten.", label=Privacy.PUBLIC, sources=("hours.md",))

    tried(way, attempt)


def test_progress_is_told_of_a_file_of_several_batches(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        told: list[Ingested] = []
        many = upload(b"\n\n".join(b"## Room %d\n\nIt has %d windows." % (n, n) for n in range(130)))
        assert await edge.ingest(many, told.append) == Ingested(source="hours.md", status="INGESTED", passages=130)
        assert told == [
            Ingested(source="hours.md", status="INGESTING", passages=passages, total=130) for passages in (0, 64, 128)
        ]
        assert (await edge.ingest(many, told.append)).status == "UNCHANGED"
        assert (await edge.ingest(upload(b""), told.append)).status == "FAILED"
        assert len(told) == 3

    tried(way, attempt)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (upload(source="a.exe"), "unknown type"),
        (upload(b""), "is empty"),
        (upload(b"\xff"), "is not UTF-8 text"),
        (upload(b"x" * (MAX_BYTES + 1)), "is larger than 100000 bytes"),
        (upload(source=" "), "name that is empty"),
        (upload(source="a\nb.md"), "cannot be shown"),
    ],
    ids=["type", "empty", "encoding", "size", "no name", "bad name"],
)
def test_a_bad_file_fails_with_a_reason(way: Way, file: Upload, reason: str) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        result = await edge.ingest(file)
        assert (result.status, result.passages, result.source) == ("FAILED", 0, file.source)
        assert reason in result.reason
        assert await edge.documents(file.collection) == ()

    tried(way, attempt)


def test_status(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        before = await edge.status()
        await edge.ingest(upload())
        after = await edge.status()
        assert after.ready
        assert after.max_document_bytes == MAX_BYTES
        assert after.label
        assert (after.documents - before.documents, after.passages - before.passages) == (1, 2)
        assert after.context_tokens == (None if way.replays or way.is_told else 512)

    tried(way, attempt)
