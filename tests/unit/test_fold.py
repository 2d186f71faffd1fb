"""Events of one answer: what a caller may see of them, and the record that they leave."""

from __future__ import annotations

from itertools import count

import pytest

from edgewise.errors import BrokenOff
from edgewise.types import (
    Citations,
    Completion,
    Event,
    Grounding,
    Privacy,
    Question,
    Record,
    Retraction,
    Step,
    Text,
    Timings,
    Token,
    Tokens,
)
from router.desk import Draft, Outcome
from router.fold import Fold, done
from router.meter import Ledger, SideCall
from tests.sides import passage

QUESTION = Question(text="why?", mode="post_arbitration")
START = Record(record_id="r", question="why?", mode="post_arbitration", mode_asked="post_arbitration")
CITED = (passage("a fact"),)
RETRACTED: tuple[Event, ...] = (
    Token(answer_id="draft", author="edge", text="no"),
    Step(id="s", name="judge"),
    Retraction(answer_id="draft", reason="better"),
    Token(answer_id="kept", author="cloud", text="yes "),
    Token(answer_id="kept", author="cloud", text="indeed"),
    Citations(answer_id="kept", passages=CITED),
)


def folded(*, hold: bool, events: tuple[Event, ...] = RETRACTED) -> tuple[Fold, list[Event]]:
    """A fold, and what went out; every look at the clock takes a second."""
    ticks = count()
    fold = Fold(Ledger(lambda: float(next(ticks))), hold)
    return fold, [event for event in events if fold.add(event)]


def outcome(label: Privacy = Privacy.UNKNOWN) -> Outcome:
    end = Completion(
        finish_reason="length", tokens=Tokens(), model="m", model_hash="h", timings=Timings(queue_s=0.5, prompt_s=0.25)
    )
    draft = Draft("kept", "cloud", Text(value="yes indeed", label=label), end)
    return Outcome(draft, Grounding.GROUNDED, confidence=0.75)


def test_everything_is_shown_as_it_comes() -> None:
    fold, shown = folded(hold=False)
    assert tuple(shown) == RETRACTED
    assert fold.held(outcome()) == []


def test_a_caller_who_holds_gets_steps_then_the_final_answer_whole() -> None:
    fold, shown = folded(hold=True)
    assert shown == [RETRACTED[1]]
    assert fold.held(outcome()) == [
        Token(answer_id="kept", author="cloud", text="yes indeed"),
        Citations(answer_id="kept", passages=CITED),
    ]


@pytest.mark.parametrize("hold", [False, True])
def test_the_record_has_what_happened(hold: bool) -> None:
    fold, _ = folded(hold=hold)
    held = fold.held(outcome())
    record = fold.record(START, QUESTION, outcome(), None)
    assert (record.answer, record.author, record.finish_reason) == ("yes indeed", "cloud", "length")
    assert (record.grounding, record.confidence, record.retractions) == (Grounding.GROUNDED, 0.75, 1)
    assert [step.name for step in record.steps] == ["judge"]
    assert record.citations == CITED
    assert (record.queue_s, record.prompt_s, record.model_hash) == (0.5, 0.25, "h")
    assert record.first_shown_s is not None
    assert record.first_kept_s is not None
    # A retracted draft may not flatter the time of the answer that stayed; with hold nothing else was ever shown.
    assert (record.first_shown_s == record.first_kept_s) is bool(held)
    assert record.first_shown_s <= record.first_kept_s < record.total_s


def test_a_failure_is_recorded_without_an_answer_but_with_its_cost() -> None:
    fold, _ = folded(hold=False, events=RETRACTED[:1])
    fold.ledger.calls.append(
        SideCall(
            key="k", side="cloud", kind="generate", request="", started_s=0, first_s=1, ended_s=2, cost_usd=0.5,
            tokens=Tokens(prompt_tokens=3), flops=1.0,
        )
    )  # fmt: skip
    record = fold.record(START, QUESTION, None, BrokenOff("the cloud's answer broke off"))
    assert (record.error, record.error_message) == ("UNAVAILABLE", "the cloud's answer broke off")
    assert (record.answer, record.author, record.first_kept_s, record.grounding) == ("", None, None, None)
    assert (record.cost_usd, record.usage.cloud.prompt_tokens, record.flops) == (0.5, 3, 1.0)
    assert (record.cloud_calls, record.cloud_generates, record.calls) == (1, 1, ("k",))
    assert record.first_shown_s is not None


@pytest.mark.parametrize(("asked", "derived"), [(Privacy.PRIVATE, Privacy.PUBLIC), (Privacy.PUBLIC, Privacy.PRIVATE)])
def test_a_record_is_as_private_as_its_question_or_its_answer(asked: Privacy, derived: Privacy) -> None:
    fold, _ = folded(hold=False)
    question = QUESTION.model_copy(update={"privacy": asked})
    assert fold.record(START, question, outcome(derived), None).privacy is Privacy.PRIVATE


def test_a_mode_that_left_the_answer_to_another_one_says_so() -> None:
    fold, _ = folded(hold=False)
    chosen = Outcome(outcome().draft, Grounding.GROUNDED, mode="cloud_info_edge_rag")
    record = fold.record(START, QUESTION, chosen, None)
    assert (record.mode, record.mode_asked) == ("cloud_info_edge_rag", "post_arbitration")


def test_the_last_event_says_what_the_record_says() -> None:
    fold, _ = folded(hold=False)
    record = fold.record(START, QUESTION, outcome().but(degraded=True, reason="no cloud"), None)
    last = done(record, "kept")
    assert last.answer_id == "kept"
    assert {name: getattr(record, name) for name in type(last).model_fields if name != "answer_id"} == last.model_dump(
        exclude={"answer_id"}
    ) | {"usage": record.usage}
    assert (last.degraded, last.reason) == (True, "no cloud")


def test_reasons_add_up() -> None:
    both = outcome().but(degraded=False, reason="first").but(degraded=True, reason="then")
    assert (both.degraded, both.reason) == (True, "then; first")
    assert both.but(degraded=False, reason="").degraded


def test_a_reason_that_two_tell_is_told_once() -> None:
    held = outcome().but(degraded=True, reason="private")
    assert held.but(degraded=True, reason="without information: private").reason == "without information: private"
    assert held.but(degraded=True, reason="late").reason == "late; private"
