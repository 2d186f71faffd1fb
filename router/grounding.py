"""Writing an answer from passages, and saying honestly what it stands on.

probably an answer there?  -> the sentences that matter -> their own words, if those answer    -> GROUNDED
                                                        -> an answer from them -> supported?   -> GROUNDED
                                  else, once more from the best sentence       -> supported?   -> GROUNDED
otherwise                  -> an answer of the model's own, kept if it can be trusted          -> OWN_KNOWLEDGE
                           -> else                                                             -> ABSTAINED
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgewise.errors import ContextOverflow
from edgewise.types import Findings, Grounding, Passage, Question, Quote, Text
from router import prompts
from router.arbiter.overlap import content_words, groundedness
from router.desk import Desk, Draft, Outcome, Writer, question_text, step
from router.sources import from_here, relevant

_SUPPORTED = 0.6


@dataclass(frozen=True, slots=True)
class Read:
    """What some passages say to a question: quotes of sentences, the one that matters most first, and of answers.

    `notes` are facts that stand in no passage.
    """

    passages: tuple[Passage, ...]
    sentences: tuple[Quote, ...]
    answers: tuple[Quote, ...]
    notes: tuple[Text, ...] = ()

    def text(self, quote: Quote) -> Text:
        passage = self.passages[quote.passage].text
        return passage.derive(passage.value[quote.span.start : quote.span.end])

    def facts(self, count: int) -> tuple[Text, ...]:
        """The sentences that matter most, in the opposite order: a tiny model reads best what is near the question."""
        return tuple(self.text(quote) for quote in reversed(self.sentences[:count]))

    def cited(self, quotes: Sequence[Quote]) -> tuple[Passage, ...]:
        """The passages of some quotes, each with the spans of its own."""
        spans: dict[int, list[Quote]] = {}
        for quote in quotes:
            spans.setdefault(quote.passage, []).append(quote)
        return tuple(
            self.passages[place].model_copy(update={"spans": tuple(quote.span for quote in some)})
            for place, some in spans.items()
        )


async def answer_from(
    question: Question, findings: Findings, desk: Desk, notes: Sequence[Text] = (), writer: Writer | None = None
) -> Outcome:
    """The answer from the relevant passages of `findings` and from `notes` (results of tools, always relevant).

    The edge writes unless another `writer` is given.
    """
    writer = writer or desk.edge
    passages = relevant(findings, desk.settings)
    numbers = {} if findings.answerable is None else {"answerable": findings.answerable}
    await desk.step(step("relevance", f"{len(passages)} of {len(findings.passages)} passages", None, numbers))
    if not passages and not notes:
        return await _own_knowledge(question, desk, "no relevant passage was found", writer)
    read = replace(await read_for(question, passages, desk), notes=tuple(notes))
    if quoted := await _quoted(question, read, desk):
        return quoted
    chosen = read.sentences[: desk.settings.sentences]
    written = await _written(question, read, chosen, desk, writer)
    if written is None and len(chosen) > 1:
        written = await _written(question, read, chosen[:1], desk, writer)
    return written or await _own_knowledge(question, desk, "the passages did not support an answer", writer)


async def answer_from_document(question: Question, desk: Desk, *, with_sentences: bool) -> Outcome:
    """The answer from the whole of the document that probably has it, with its key sentences once more, if wanted.

    A document that does not fit the context window is answered from by its passages instead; a step says which.
    """
    findings = await from_here(question, desk, expand="document")
    passages = relevant(findings, desk.settings)[:1]
    if not passages:
        return await answer_from(question, findings, desk)
    read = replace(await read_for(question, passages, desk), notes=(passages[0].text,))
    shown = read.sentences[: desk.settings.sentences] if with_sentences else ()
    try:
        written = await _written(question, read, shown, desk, desk.edge)
    except ContextOverflow as error:
        await desk.step(step("context", f"passages, as the document does not fit: {error.message}"))
        return await answer_from(question, await from_here(question, desk), desk)
    await desk.step(step("context", f"the whole of {passages[0].source}", "edge"))
    return written or await _own_knowledge(question, desk, "the document did not support an answer", desk.edge)


async def read_for(question: Question, passages: tuple[Passage, ...], desk: Desk) -> Read:
    """What the device makes of the passages; quotes that are not in their passages are not believed."""
    reading = await desk.local.read(question_text(question), passages)
    sentences, answers = (
        tuple(quote for quote in quotes if _is_there(quote, passages))
        for quotes in (reading.sentences, reading.answers)
    )
    return Read(passages, sentences, answers)


async def _quoted(question: Question, read: Read, desk: Desk) -> Outcome | None:
    """The words of a passage as the answer, where they answer probably enough; they are what they are cited for."""
    best = read.answers[0] if read.answers else None
    if best is None or read.notes or question.response_schema or best.probability < desk.settings.quote:
        return None
    draft = desk.quote(read.text(best), question)
    await desk.step(step("quote", "the passages' own words answer", "edge", {"probability": best.probability}))
    await desk.show(draft)
    await desk.cite(draft, read.cited([best]))
    return Outcome(draft, Grounding.GROUNDED, confidence=best.probability)


async def _written(
    question: Question, read: Read, chosen: Sequence[Quote], desk: Desk, writer: Writer
) -> Outcome | None:
    """An answer from some sentences and notes; None, and retracted, if they do not support it."""
    facts = (*read.notes, *(read.text(quote) for quote in reversed(chosen)))
    prompt = prompts.from_facts(question, facts)
    draft = await writer.write(prompt)
    support = groundedness(draft.text.value, question.text, [fact.value for fact in facts])
    detail = f"share of the answer's words that {len(facts)} facts have"
    await desk.step(step("groundedness", detail, "edge", {"share": support}))
    if support < _SUPPORTED:
        await desk.retract(draft, "the answer is not supported by the passages")
        return None
    stands_on = chosen or read.sentences[: desk.settings.sentences]
    await desk.cite(draft, read.cited(_supporting(draft, stands_on, read)))
    trust = await desk.trust(question, draft, prompt, facts) if writer is desk.edge else None
    return Outcome(draft, Grounding.GROUNDED, confidence=trust)


def _supporting(draft: Draft, chosen: Sequence[Quote], read: Read) -> Sequence[Quote]:
    """Those of the sentences that share words with the answer; all if none does, as with a `yes`."""
    said = set(content_words(draft.text.value))
    sharing = [quote for quote in chosen if said & set(content_words(read.text(quote).value))]
    return sharing or chosen


def _is_there(quote: Quote, passages: Sequence[Passage]) -> bool:
    if quote.passage >= len(passages):
        return False
    return quote.span.start < quote.span.end <= len(passages[quote.passage].text.value)


async def _own_knowledge(question: Question, desk: Desk, why: str, writer: Writer) -> Outcome:
    """The model's own answer, and called so. The edge's is written silently, and given only if it can be trusted."""
    if writer is desk.cloud:
        return Outcome(await desk.cloud.write(prompts.closed_book(question)), Grounding.OWN_KNOWLEDGE, reason=why)
    prompt = prompts.closed_book(question)
    draft = await desk.edge.write(prompt, show=False)
    trust = await desk.trust(question, draft, prompt)
    await desk.step(step("own knowledge", why, "edge", {} if trust is None else {"trust": trust}))
    if trust is not None and trust >= desk.settings.own_knowledge and content_words(draft.text.value):
        await desk.show(draft)
        return Outcome(
            draft, Grounding.OWN_KNOWLEDGE, confidence=trust, reason=f"{why}: from the model's own knowledge"
        )
    abstention = desk.abstain(draft)
    await desk.show(abstention)
    return Outcome(abstention, Grounding.ABSTAINED, confidence=trust, reason=f"{why}, and its own answer is uncertain")
