"""Short facts that the gateway's model knows, as cloud info: something to write an answer from, not the answer."""

from __future__ import annotations

import re
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from cloud.backends import Backend
from cloud.backends.failure import may_be_billed
from cloud.info import MAX_QUERY_BYTES, check_short, informed, within
from cloud.info.scales import Scales
from edge.ingest.cleaning import one_line
from edgewise.errors import EdgewiseError
from edgewise.types import Completion, Findings, Message, Options, Prompt, Query, Sampling, SideStatus, Text

VERSION = "facts-2026-11-25"
_TOKENS_A_FACT = 60
_LONGEST = 400  # characters
_FACT = re.compile(r"-\s+(\S.*)")


class Facts:
    """`most` facts about a query; each counts the same as any other passage, and its source is `model:NAME`."""

    name = "facts of the model"

    def __init__(self, backend: Backend, scales: Scales, most: int, lifetime: timedelta) -> None:
        self._backend = backend
        self._scales = scales
        self._most = most
        self._lifetime = lifetime

    def with_model(self, model: Backend) -> Facts:
        """The same of another model."""
        return Facts(model, self._scales, self._most, self._lifetime)

    async def look_up(self, query: Query, timeout_s: float) -> Findings:
        """What was written in time counts, except for a line that is not finished."""
        check_short(query)
        options = Options(sampling=Sampling(max_tokens=self._max_tokens))
        model = (await self._backend.status()).model
        written, reason = "", ""
        cost, basis, is_whole = None, None, False
        try:
            async with within(timeout_s), aclosing(self._backend.generate(self._prompt(query.text), options)) as parts:
                async for part in parts:
                    if isinstance(part, Completion):
                        cost, basis, is_whole = part.cost_usd, part.cost_basis, part.finish_reason == "stop"
                    else:
                        written += part.text
        except EdgewiseError as error:
            reason = error.message
            # What broke off may be billed, and what came too late as well.
            cost = None if written or may_be_billed(error) else 0.0
        now = datetime.now(UTC)
        facts = facts_in(written, query.text.value, is_whole=is_whole)[: self._most]
        source, lifetime = f"model:{model}", self._lifetime
        found = await self._scales.weigh(
            query, [informed(fact, source, as_of=now, now=now, lifetime=lifetime) for fact in facts]
        )
        return found.model_copy(update={"reason": reason, "cost_usd": cost, "cost_basis": basis})

    def most_usd(self, backend: SideStatus) -> float | None:
        return backend.most_usd(self._prompt(Text.ours("x" * MAX_QUERY_BYTES)), self._max_tokens)

    @property
    def _max_tokens(self) -> int:
        return self._most * _TOKENS_A_FACT

    def _prompt(self, query: Text) -> Prompt:
        wish = Text.ours(
            "You look things up for somebody else, who answers the question below. You do not answer it. Write at "
            f"most {self._most} short facts that help to answer it: each in one sentence that can be understood by "
            "itself, on a line of its own that begins with '- '. Write only what you are certain of. If you know "
            "nothing that helps, write nothing."
        )
        return Prompt(
            messages=(Message(role="system", content=wish), Message(role="user", content=query)), version=VERSION
        )


def facts_in(written: str, query: str, *, is_whole: bool) -> list[str]:
    """The lines of the wanted form, each once; whatever else a model says is not a fact."""
    lines = written.split("\n")
    found = (_FACT.fullmatch(line.strip()) for line in (lines if is_whole else lines[:-1]))
    facts = dict.fromkeys(one_line(match[1]) for match in found if match)
    asked = one_line(query).casefold()
    return [
        fact for fact in facts if fact and len(fact) <= _LONGEST and fact[-1] not in "?:" and fact.casefold() != asked
    ]
