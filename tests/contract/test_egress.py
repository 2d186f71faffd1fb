"""Nothing private reaches the cloud, in any mode, from any place; and what does reach it is written down before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from edgewise.errors import EdgeUnavailable, EdgewiseError, Withheld
from edgewise.types import (
    Chunk,
    Completion,
    Findings,
    Options,
    Passage,
    Privacy,
    Prompt,
    Query,
    Question,
    Released,
    Text,
    Turn,
)
from router.config import RouterSettings
from router.egress import read_rows
from router.egress.verify import verified
from tests.routers import FERRY, TARIFF, VARIANTS, Place, a_cloud, an_edge, place, question
from tests.sides import UNSURE, FakeCloud, FakeEdge, Say, passage

MARK = "74431"
SETTINGS = RouterSettings(gain_threshold=0, judge=True)
NEVER_ASKS = [mode for mode in VARIANTS if mode.startswith("edge_only")]
PRIVATE = passage(f"The private code is {MARK}.", label=Privacy.PRIVATE)


class Parrot(FakeEdge):
    """Repeats the mark wherever it reads it: in answers, in calculations, in queries. It trusts none of its answers."""

    def __init__(self, *passages: Passage) -> None:
        super().__init__(Say("."), passages=passages, tools=("search", "library", "calculator", "clock"))

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        read = any(MARK in message.content.value for message in prompt.messages)
        said = f"{MARK} * 1" if prompt.messages[-1].content.value.endswith("Calculation:") else f"The code is {MARK}"
        self.answers = [Say(said if read else "The ferry sails at nine", logprob=UNSURE)]
        async for part in super()._say(prompt, options):
            yield part


def arrived(cloud: FakeCloud) -> str:
    """All that the cloud was sent."""
    return "\n".join(one.model_dump_json() for one in (*cloud.prompts, *cloud.queries, *cloud.options))


def forget(cloud: FakeCloud) -> None:
    cloud.prompts.clear()
    cloud.queries.clear()


def turn(value: str, label: Privacy = Privacy.UNKNOWN) -> Turn:
    return Turn(role="user", text=Text(value=value, label=label))


PLAIN = (turn("Hello"), Turn(role="assistant", text=Text(value="Good day.")))
Asked = Callable[[str], Question]
FROM: dict[str, Asked] = {
    "a private question": lambda mode: question(mode, text=f"Is {MARK} my code?", privacy="PRIVATE"),
    "an unlabelled question that a detector sees": lambda mode: question(mode, text=f"My password is x{MARK}, okay?"),
    "a private turn long ago": lambda mode: question(
        mode, history=(turn(f"My code is {MARK}", Privacy.PRIVATE), *PLAIN * 6), text="And then?"
    ),
    "an unlabelled turn that a detector sees": lambda mode: question(
        mode, history=(turn(f"My password is x{MARK}"), *PLAIN * 6), text="And then?"
    ),
    "a private passage": question,
    "a schema of a private question": lambda mode: question(
        mode, privacy="PRIVATE", response_schema=f'{{"type": "object", "title": "{MARK}"}}'
    ),
}  # fmt: skip


@pytest.mark.parametrize("rewrite", ["off", "edge", "cloud"])
@pytest.mark.parametrize("source", FROM)
def test_nothing_private_arrives_from_anywhere(tmp_path: Path, source: str, rewrite: str) -> None:
    async def main() -> None:
        edge, cloud = Parrot(FERRY, PRIVATE), a_cloud()
        settings = SETTINGS.model_copy(update={"rewrite": rewrite})
        async with place(tmp_path, edge, cloud, settings) as opened:
            for mode in VARIANTS:
                edge.scored.clear()
                with suppress(EdgewiseError):
                    await opened.ask(FROM[source](mode))
                assert MARK not in arrived(cloud), mode
                assert source == "a private passage" or cloud.saw_nothing, mode
        assert verified(tmp_path).tries == ({"cloud": len(cloud.prompts + cloud.queries)} if cloud.prompts else {})

    asyncio.run(main())


@pytest.mark.parametrize("first", ["edge_only", "edge_only+rag", "edge_only+long_context", "agent"])
def test_nothing_private_arrives_from_earlier_in_a_conversation(tmp_path: Path, first: str) -> None:
    """What was answered from a private passage, or written of a private question, is private from then on."""

    async def main() -> None:
        edge, cloud = Parrot(PRIVATE), a_cloud()
        async with place(tmp_path, edge, cloud, SETTINGS) as opened:
            for mode in VARIANTS:
                edge.scored.clear()
                label = "PRIVATE" if first == "edge_only" else "UNKNOWN"
                await opened.ask(question(first, text="What is the code?", conversation_id=mode, privacy=label))
                forget(cloud)
                for text in ("Say it again", "And again"):
                    edge.scored.clear()
                    with suppress(Withheld):
                        await opened.ask(question(mode, text=text, conversation_id=mode))
                    assert cloud.saw_nothing, mode

    asyncio.run(main())


def test_what_is_not_private_does_arrive(tmp_path: Path) -> None:
    """Else the tests above could not fail."""

    async def main() -> None:
        edge, cloud = Parrot(passage(f"The public code is {MARK}.")), a_cloud()
        async with place(tmp_path, edge, cloud, SETTINGS) as opened:
            for mode in VARIANTS:
                edge.scored.clear()
                forget(cloud)
                await opened.ask(question(mode, text=f"Is {MARK} the code?"))
                assert (MARK in arrived(cloud)) is (mode not in NEVER_ASKS), mode
            cloud.prompts.clear()
            await opened.ask(question("cloud_only+rag", text="What is the code?"))
            assert MARK in arrived(cloud)

    asyncio.run(main())


# --- the edge is down -------------------------------------------------------------------------------------------------

DOWN = EdgeUnavailable("the edge node has crashed", retry_after_s=2.0)


@pytest.mark.parametrize("source", [one for one in FROM if one != "a private passage"])
def test_private_and_edge_down_is_a_failed_precondition(tmp_path: Path, source: str) -> None:
    async def main() -> None:
        async with place(tmp_path, an_edge(), a_cloud(), SETTINGS, way="over gRPC") as opened:
            opened.edge.down = DOWN
            for mode in VARIANTS:
                with pytest.raises(EdgewiseError) as caught:
                    await opened.ask(FROM[source](mode))
                if not (mode.endswith("+cot") and "schema" in source):
                    assert (caught.value.code, caught.value.reason) == ("FAILED_PRECONDITION", "Withheld"), mode
                assert MARK not in caught.value.message
                assert opened.cloud.saw_nothing
            for record in await opened.records():
                assert record.error == "FAILED_PRECONDITION"

    asyncio.run(main())


def test_edge_down_alone_is_unavailable(tmp_path: Path) -> None:
    async def main() -> None:
        async with place(tmp_path, an_edge(), a_cloud(), SETTINGS) as opened:
            opened.edge.down = DOWN
            for given in ({}, {"privacy": "PUBLIC"}):
                with pytest.raises(EdgeUnavailable):
                    await opened.ask(question("edge_only", **given))

    asyncio.run(main())


# --- the audit log ----------------------------------------------------------------------------------------------------


class Witness(FakeCloud):
    """Looks at the audit log whenever something arrives."""

    def __init__(self, directory: Path) -> None:
        super().__init__(Say("Nobody sails before noon"), passages=(TARIFF,), usd_per_mtok=1.0)
        self.directory = directory
        self.arrivals = 0

    def _look(self) -> None:
        self.arrivals += 1
        assert sum(row.event == "try" for row in read_rows(self.directory)) >= self.arrivals

    async def generate(self, prompt: Released[Prompt], options: Options) -> AsyncGenerator[Chunk | Completion]:
        self._look()
        async for part in super()._say(prompt.value, options):
            yield part

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        self._look()
        return await super().retrieve(query, timeout_s)


def test_every_arrival_was_written_down_before_with_its_record(tmp_path: Path) -> None:
    async def main() -> None:
        cloud = Witness(tmp_path)
        async with place(tmp_path, an_edge(UNSURE), cloud, SETTINGS) as opened:
            for mode in VARIANTS:
                opened.edge.scored.clear()
                await opened.ask(question(mode))
            records = [record.record_id for record in await opened.records() if record.cloud_calls]
            calls = sum(record.cloud_calls for record in await opened.records())
        rows = list(read_rows(tmp_path))
        tries = [row for row in rows if row.event == "try"]
        assert len(tries) == cloud.arrivals == calls > len(records)
        assert {row.record_id for row in tries} == {*records}
        assert {(row.destination, row.host, row.label) for row in tries} == {
            ("cloud", "cloud.example.com", Privacy.UNKNOWN)
        }
        assert {row.call for row in tries} == {"generate", "fetch_info"}
        assert {row.of for row in rows if row.event == "end" and row.outcome == "answered"} == {
            row.seq for row in tries
        }

    asyncio.run(main())
    told = "".join(path.read_text() for path in tmp_path.glob("audit.*"))
    assert "ferry" not in told.lower()
    assert "noon" not in told


def test_what_became_of_a_try_is_known(tmp_path: Path) -> None:
    async def main() -> None:
        cloud = a_cloud(Say("The ferry sails", after=1, error=EdgewiseError("with words of the question")))
        async with place(tmp_path, an_edge(), cloud, SETTINGS) as opened:
            with pytest.raises(EdgewiseError):
                await opened.ask(question("cloud_only"))
            cloud.answers = [Say("The ferry sails", after=1, hangs=True)]
            asking = asyncio.create_task(opened.ask(question("cloud_only")))
            await cloud.hanging.wait()
            asking.cancel()
            await asyncio.wait({asking})
        ends = [(row.outcome, row.detail) for row in read_rows(tmp_path) if row.event == "end"]
        assert ends == [("failed", "INTERNAL"), ("cancelled", "")]

    asyncio.run(main())


def test_while_the_audit_log_cannot_be_written_everything_is_answered_here(tmp_path: Path) -> None:
    async def main() -> None:
        async def ask(opened: Place, mode: str) -> None:
            opened.edge.scored.clear()
            done = (await opened.ask(question(mode, max_cost_usd=1.0))).done
            assert (done.author, done.degraded, done.cost_usd) == ("edge", mode not in NEVER_ASKS, 0.0), mode
            assert mode in NEVER_ASKS or "audit log cannot be written" in done.reason
            assert (await opened.record(done.record_id)).cloud_calls == 0

        in_the_way = tmp_path / "audit.jsonl"
        in_the_way.mkdir()
        async with place(tmp_path, an_edge(UNSURE), a_cloud(), SETTINGS) as opened:
            for mode in VARIANTS:
                await ask(opened, mode)
            assert opened.cloud.saw_nothing
            in_the_way.rmdir()
            assert (await opened.ask(question("cloud_only"))).done.author == "cloud"
        assert verified(tmp_path).tries == {"cloud": 1}

    asyncio.run(main())
