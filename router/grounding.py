"""Writing an answer from passages on the edge, and saying honestly what it stands on.

relevant passages?  -> the sentences that matter -> an answer from them -> supported by them?  -> GROUNDED
otherwise           -> an answer of the model's own, kept if it can be trusted                 -> OWN_KNOWLEDGE
                    -> else                                                                    -> ABSTAINED
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgewise.types import Grounding, Passage, Question, Text
from router import prompts
from router.arbiter.trust import content_words, groundedness
from router.desk import Desk, Outcome, step

# A sentence ends at a full stop, question or exclamation mark before a space, at a CJK one, or at a line break.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_SUPPORTED = 0.6


async def answer_from(
    question: Question, passages: Sequence[Passage], desk: Desk, notes: Sequence[Text] = ()
) -> Outcome:
    """The answer from the relevant ones of `passages` and from `notes` (results of tools, always relevant)."""
    relevant = tuple(passage for passage in passages if passage.score >= desk.settings.relevance)
    best = max((passage.score for passage in passages), default=0.0)
    await desk.step(step("relevance", f"{len(relevant)} of {len(passages)} passages", None, {"best": best}))
    if not relevant and not notes:
        return await _own_knowledge(question, desk, "no relevant passage was found")
    facts = (*notes, *await key_sentences(question, relevant, desk))
    draft = await desk.edge.write(prompts.from_facts(question, facts))
    support = groundedness(draft.text.value, question.text, [fact.value for fact in facts])
    await desk.step(
        step("groundedness", "share of the answer's words that its sources have", "edge", {"share": support})
    )
    if support < _SUPPORTED:
        await desk.retract(draft, "the answer is not supported by the passages")
        return await _own_knowledge(question, desk, "the passages did not support an answer")
    await desk.cite(draft, tuple(passage for passage in relevant if _used(passage, facts)))
    return Outcome(draft, Grounding.GROUNDED, confidence=support)


async def key_sentences(question: Question, passages: Sequence[Passage], desk: Desk) -> tuple[Text, ...]:
    """The sentences nearest to the question, the nearest last, each with its passage's label and source.

    Few, and the best right before the question: a tiny model reads what is near and is misled by the rest.
    """
    sentences = tuple(
        passage.text.derive(part.strip())
        for passage in passages
        for part in _SENTENCE_END.split(passage.text.value)
        if part.strip()
    )
    if not sentences:
        return ()
    asked, *vectors = await desk.local.embed((question.text, *(sentence.value for sentence in sentences)))
    nearness = [sum(a * b for a, b in zip(asked, vector, strict=True)) for vector in vectors]
    best = sorted(range(len(sentences)), key=nearness.__getitem__)[-desk.settings.sentences :]
    return tuple(sentences[place] for place in best)


def _used(passage: Passage, facts: Sequence[Text]) -> bool:
    return any(fact.value in passage.text.value for fact in facts)


async def _own_knowledge(question: Question, desk: Desk, why: str) -> Outcome:
    """The model's own answer, written silently; given, and called so, only if its trust reaches the threshold."""
    draft = await desk.edge.write(prompts.closed_book(question), show=False)
    trust = desk.trust.of(draft.logprobs)
    await desk.step(step("own knowledge", why, "edge", {} if trust is None else {"trust": trust}))
    if trust is not None and trust >= desk.settings.own_knowledge and content_words(draft.text.value):
        await desk.show(draft)
        return Outcome(
            draft, Grounding.OWN_KNOWLEDGE, confidence=trust, reason=f"{why}: from the model's own knowledge"
        )
    abstention = desk.abstain(draft)
    await desk.show(abstention)
    return Outcome(abstention, Grounding.ABSTAINED, confidence=trust, reason=f"{why}, and its own answer is uncertain")
