"""Every prompt of the product, versioned together: change a word, and raise VERSION.

Prompts are joined from `Text` values only, so that the labels and sources of what went in survive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgewise.types import Message, Prompt, Question, Text
from router.desk import question_text

VERSION = "2026-11-25"

_CLOSED_BOOK = Text.ours("Answer the question in one short sentence.")
_STEP_BY_STEP = Text.ours("Think step by step in a few short sentences, then give the answer after 'Answer:'.")
_FROM_FACTS = Text.ours("You answer questions from the given facts in one short sentence.")
_AS_JSON = Text.ours("Answer the question as JSON that obeys this JSON Schema:")
_FROM_FACTS_AS_JSON = Text.ours("You answer questions from the given facts, as JSON that obeys this JSON Schema:")
_CALCULATE = Text.ours(
    "Write the calculation that answers the question, as one line of arithmetic with numbers only.\n"
    "Question: A box holds 12 eggs. How many eggs are in 3 boxes?\nCalculation: 3 * 12\n"
    "Question: A hall has 40 seats and 15 are taken. How many are free?\nCalculation: 40 - 15"
)
_SEARCH = Text.ours(
    "Write up to three short search queries, one a line, that find what is needed to answer the last question. Each "
    "must be understood without the conversation."
)
_JUDGE = Text.ours("Two answers to a question. Say which one is right, with one letter: A or B.")
_SAME = Text.ours("Two answers to a question. Say with one word, yes or no, whether both say the same.")
_CHOOSE = Text.ours("You choose the next tool for answering a question. Reply with the name of one tool.\nTools:\n")


def closed_book(question: Question, *, step_by_step: bool = False) -> Prompt:
    """The question alone: the answer comes from the model's own knowledge."""
    instruction = _STEP_BY_STEP if step_by_step else _instruction(question, _CLOSED_BOOK, _AS_JSON)
    return _chat(question, instruction, question_text(question))


def from_facts(question: Question, facts: Sequence[Text]) -> Prompt:
    """The question after the facts that its answer must stand on.

    Facts are somebody else's, whatever they call their source: defanging.py tells their answers apart by that.
    """
    known = tuple(fact.model_copy(update={"sources": (*fact.sources, "looked up")}) for fact in facts)
    parts = (Text.ours("Facts:"), *known, Text.ours("\nQuestion: "))
    instruction = _instruction(question, _FROM_FACTS, _FROM_FACTS_AS_JSON)
    return _chat(question, instruction, Text.join((Text.join(parts, "\n"), question_text(question))))


def calculation(question: Question, facts: Sequence[Text]) -> Prompt:
    """Asks for one line of arithmetic, no answer."""
    asked = Text.join((*facts, Text.join((Text.ours("Question: "), question_text(question)))), "\n")
    return _of(_CALCULATE, Text.join((asked, Text.ours("Calculation:")), "\n"))


def judge(question: Question, first: Text, second: Text) -> Prompt:
    """Asks which of two answers is right, by letter."""
    parts = (
        Text.ours("Question: "),
        question_text(question),
        Text.ours("\n\nA: "),
        first,
        Text.ours("\n\nB: "),
        second,
    )
    return _of(_JUDGE, Text.join((*parts, Text.ours("\n\nThe better answer is"))))


def same_answer(question: Text, first: Text, second: Text) -> Prompt:
    """Asks whether two answers say the same, yes or no."""
    asked = Text.join((Text.ours("Question: "), question, Text.ours("\n\nA: "), first, Text.ours("\n\nB: "), second))
    return _of(_SAME, Text.join((asked, Text.ours("\n\nDo A and B say the same? Yes or no:"))))


def search_queries(question: Question) -> Prompt:
    """Asks for queries, one a line, instead of an answer."""
    return _chat(question, _SEARCH, Text.join((Text.ours("Question: "), question_text(question))))


def tool_choice(question: Text, purposes: Mapping[str, str], notes: Sequence[Text]) -> Prompt:
    """Asks which tool comes next, by name and what it is for, given what the earlier ones returned."""
    listed = Text.ours("\n".join(f"- {name}: {purpose}" for name, purpose in purposes.items()))
    known = Text.join((Text.ours("Known so far:"), *(notes or (Text.ours("nothing"),))), "\n")
    asked = Text.join((Text.ours("Question: "), question))
    return _of(Text.join((_CHOOSE, listed)), Text.join((asked, known, Text.ours("Next tool:")), "\n"))


def _instruction(question: Question, plain: Text, as_json: Text) -> Text:
    """A schema belongs to the question: it is as private, and goes where the question goes."""
    if not question.response_schema:
        return plain
    return Text.join((as_json, question_text(question).derive(question.response_schema)), "\n")


def _chat(question: Question, instruction: Text, last: Text) -> Prompt:
    earlier = tuple(Message(role=turn.role, content=turn.text) for turn in question.history)
    system, user = Message(role="system", content=instruction), Message(role="user", content=last)
    return Prompt(messages=(system, *earlier, user), version=VERSION)


def _of(instruction: Text, last: Text) -> Prompt:
    system, user = Message(role="system", content=instruction), Message(role="user", content=last)
    return Prompt(messages=(system, user), version=VERSION)
