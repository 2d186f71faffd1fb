"""Events of one answer -> what is shown, and the one record that is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgewise.errors import EdgewiseError, InvalidInput
from edgewise.types import Citations, Done, Event, Passage, Privacy, Question, Record, Retraction, Step, Token
from router.desk import Outcome
from router.meter import Ledger

_OF_THE_RECORD = tuple(name for name in Done.model_fields if name != "answer_id")


@dataclass
class Fold:
    """What the events say so far. With `hold`, tokens and retractions stay here until the answer is final."""

    ledger: Ledger
    hold: bool
    steps: list[Step] = field(default_factory=list)
    citations: dict[str, tuple[Passage, ...]] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    retractions: int = 0

    def add(self, event: Event) -> bool:
        """Takes an event in; whether the caller may have it now."""
        match event:
            case Step():
                self.steps.append(event)
                return True
            case Token():
                self.text[event.answer_id] = self.text.get(event.answer_id, "") + event.text
                if not self.hold:
                    self.first.setdefault(event.answer_id, self.ledger.now())
            case Citations():
                self.citations[event.answer_id] = event.passages
            case Retraction():
                self.retractions += 1
        return not self.hold

    def held(self, outcome: Outcome) -> list[Event]:
        """What a caller who holds gets in the end: the answer that stayed, and its passages."""
        if not self.hold:
            return []
        key = outcome.draft.answer_id
        self.first[key] = self.ledger.now()
        events: list[Event] = [Token(answer_id=key, author=outcome.draft.author, text=self.text.get(key, ""))]
        if key in self.citations:
            events.append(Citations(answer_id=key, passages=self.citations[key]))
        return events

    def record(
        self, start: Record, question: Question, outcome: Outcome | None, failure: EdgewiseError | None
    ) -> Record:
        """The record of an answer that ended, one way or the other."""
        ledger = self.ledger
        known: dict[str, object] = {
            "usage": ledger.usage,
            "cost_usd": ledger.cost_usd,
            "cost_basis": ledger.cost_basis,
            "flops": ledger.flops,
            "first_shown_s": min(self.first.values(), default=None),
            "total_s": ledger.now(),
            "cloud_calls": len(ledger.of("cloud")),
            "cloud_generates": len(ledger.of("cloud", "generate")),
            "retractions": self.retractions,
            "steps": tuple(self.steps),
            "calls": tuple(call.key for call in ledger.calls),
        }
        if failure is not None:
            known |= {"error": failure.code, "error_message": failure.message}
        if outcome is not None:
            known |= self._of(outcome, start, question)
        return start.model_copy(update=known)

    def _of(self, outcome: Outcome, start: Record, question: Question) -> dict[str, object]:
        draft = outcome.draft
        return {
            "answer": draft.text.value,
            "privacy": Privacy.tightest((question.privacy, draft.text.label)),
            "mode": outcome.mode or start.mode,
            "author": draft.author,
            "confidence": outcome.confidence,
            "grounding": outcome.grounding,
            "finish_reason": draft.completion.finish_reason,
            "queue_s": draft.completion.timings.queue_s,
            "prompt_s": draft.completion.timings.prompt_s,
            "first_kept_s": self.first.get(draft.answer_id),
            "degraded": outcome.degraded,
            "reason": outcome.reason,
            "citations": self.citations.get(draft.answer_id, ()),
            "model_hash": draft.completion.model_hash or "",
        }


def done(record: Record, answer_id: str) -> Done:
    """The last event of an answer that was recorded without an error."""
    same = {name: getattr(record, name) for name in _OF_THE_RECORD}
    return Done.model_validate({"answer_id": answer_id, **same})


def again(record: Record, question: Question) -> tuple[Event, ...]:
    """The events of a request that was finished before."""
    if (record.question, record.mode_asked) != (question.text, question.mode):
        raise InvalidInput(f"request_id {question.request_id} was used for another question or mode; use a new one")
    key = record.record_id
    cited = (Citations(answer_id=key, passages=record.citations),) if record.citations else ()
    return Token(answer_id=key, author=record.author or "edge", text=record.answer), *cited, done(record, key)
