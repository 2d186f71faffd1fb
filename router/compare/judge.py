"""A model as a scorer: does an answer say the same as an accepted one?

It is asked twice, with the two answers in either order, because models prefer what stands first (Zheng et al. 2023);
where it contradicts itself the score is a half. How often it agrees with scorers that need no model is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass

from edgewise.errors import EdgewiseError, Internal
from edgewise.types import Author, Completion, Options, Prompt, Sampling, Text, Value
from router import prompts
from router.compare.questions import Graded
from router.meter import PlainSide

_MAX_TOKENS = 8
_GRAMMAR = 'root ::= "yes" | "no"'
"""For a side that can be held to it: small models like to chat."""
_WORD = re.compile(r"[a-z]+")


class Judgement(Value):
    """`score` is None where the judge could not be asked or said neither yes nor no; `reason` says which."""

    score: float | None = None
    cost_usd: float | None = 0.0
    reason: str = ""


class Agreement(Value):
    """How a judge does on `n` answers that were scored without it, too. `kappa` is Cohen's (1960), None where one of
    the two always says the same."""

    n: int
    agreed: float | None
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Judge:
    """`side` passes the egress gate, if it is the cloud: what may not leave is not judged."""

    author: Author
    side: PlainSide

    async def judge(self, question: Graded, answer: Text) -> Judgement:
        """Against the accepted answers, of which the best match counts; an empty answer is wrong."""
        if not answer.value.strip():
            return Judgement(score=0.0)
        best = Judgement()
        cost: float | None = 0.0
        for accepted in question.answers or ():
            found = await self._compared(question, answer, answer.derive(accepted))
            cost = None if cost is None or found.cost_usd is None else cost + found.cost_usd
            if found.score is None:
                return found.model_copy(update={"cost_usd": cost})
            best = max(best, found, key=lambda one: -1.0 if one.score is None else one.score)
            if best.score == 1.0:
                break
        return best.model_copy(update={"cost_usd": cost})

    async def _compared(self, question: Graded, answer: Text, accepted: Text) -> Judgement:
        asked = answer.derive(question.text)
        said: list[str] = []
        cost: float | None = 0.0
        for pair in ((answer, accepted), (accepted, answer)):
            try:
                end, text = await self._ask(prompts.same_answer(asked, *pair))
            except EdgewiseError as error:
                return Judgement(cost_usd=cost, reason=error.message)
            known = end.cost_usd if self.author == "cloud" else end.cost_usd or 0.0
            cost = None if cost is None or known is None else cost + known
            said.append(next(iter(_WORD.findall(text.casefold())), ""))
        if not {*said} <= {"yes", "no"}:
            return Judgement(cost_usd=cost, reason=f"the judge said neither yes nor no: {said}")
        return Judgement(score=said.count("yes") / 2, cost_usd=cost)

    async def _ask(self, prompt: Prompt) -> tuple[Completion, str]:
        said: list[str] = []
        end: Completion | None = None
        able = (await self.side.status()).capabilities
        options = Options(
            sampling=Sampling(max_tokens=_MAX_TOKENS), cache_key="judge", grammar=_GRAMMAR if "grammar" in able else ""
        )
        async with aclosing(self.side.generate(prompt, options)) as parts:
            async for part in parts:
                if isinstance(part, Completion):
                    end = part
                else:
                    said.append(part.text)
        if end is None:
            raise Internal(f"the {self.author} ended its judgement without saying so; see its log")
        return end, "".join(said)


def agreement(scores: Iterable[tuple[float, float]]) -> Agreement:
    """Of pairs of a judge's score and that of another scorer, both taken as right from 0.5 on."""
    pairs = [(judge >= 0.5, other >= 0.5) for judge, other in scores]
    n = len(pairs)
    if not n:
        return Agreement(n=0, agreed=None, kappa=None)
    agreed = sum(judge == other for judge, other in pairs) / n
    yes, also = (sum(one) / n for one in zip(*pairs, strict=True))
    by_chance = yes * also + (1 - yes) * (1 - also)
    kappa = (agreed - by_chance) / (1 - by_chance) if 0 < yes < 1 and 0 < also < 1 else None
    return Agreement(n=n, agreed=agreed, kappa=kappa)
