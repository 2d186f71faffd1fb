"""What a device can learn from its log: graded answers from a model's own knowledge, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from edgewise.types import Grounding
from router.arbiter.history import answers_of, gains_of
from router.arbiter.labels import Labels
from router.log import Log
from tests.logs import answered
from tests.routers import log_url


def learned(
    directory: Path, fill: Callable[[Log], Awaitable[None]], read: Callable[[Log], Awaitable[Labels]]
) -> Labels:
    async def main() -> Labels:
        log = await Log.open(log_url(directory))
        try:
            await fill(log)
            return await read(log)
        finally:
            await log.close()

    return asyncio.run(main())


def test_gains_are_of_questions_that_both_sides_were_graded_for(tmp_path: Path) -> None:
    async def fill(log: Log) -> None:
        await answered(log, "a", "why?", "edge", 0.0, 1.0)
        await answered(log, "b", "why?", "edge", 0.0)
        await answered(log, "c", "why?", "cloud", 1.0)
        await answered(log, "d", "how?", "edge", 1.0)
        await answered(log, "e", "how?", "cloud")
        await answered(log, "f", "when?", "edge", 1.0)
        await answered(log, "g", "when?", "cloud", 1.0, grounding=Grounding.GROUNDED)

    found = learned(tmp_path, fill, gains_of)
    assert found.prompts == ("why?",)
    assert (found.outcomes.weak.tolist(), found.outcomes.strong.tolist()) == ([0.5], [1.0]), "the latest grades"
    assert found.digest


def test_answers_are_the_edge_s_with_what_is_known_of_their_tokens(tmp_path: Path) -> None:
    async def fill(log: Log) -> None:
        await answered(log, "a", "why?", "edge", 1.0)
        await answered(log, "b", "how?", "edge", 0.0, 0.4, finish_reason="length")
        await answered(log, "c", "who?", "cloud", 1.0)
        await answered(log, "d", "when?", "edge")
        await answered(log, "e", "where?", "edge", 1.0, error="INTERNAL")
        await answered(log, "f", "what?", "edge", 1.0, grounding=Grounding.ABSTAINED)

    found = learned(tmp_path, fill, answers_of)
    by_question = {answer.question: answer for answer in found.answers}
    assert set(by_question) == {"why?", "how?"}
    assert by_question["why?"].text == "by a"
    assert (by_question["why?"].logprobs, by_question["why?"].margins) == ((-0.5,), (1.5,))
    assert (by_question["why?"].finished, by_question["how?"].finished) == (True, False)
    assert dict(zip(found.prompts, found.outcomes.weak, strict=True)) == {"why?": 1.0, "how?": 0.0}
    assert np.isnan(found.outcomes.strong).all()


def test_an_empty_log_has_nothing_to_teach(tmp_path: Path) -> None:
    async def nothing(_: Log) -> None:
        pass

    assert len(learned(tmp_path, nothing, gains_of)) == len(learned(tmp_path, nothing, answers_of)) == 0
