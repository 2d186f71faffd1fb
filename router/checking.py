"""What is asked of a question before anybody works on it."""

from __future__ import annotations

import json

from edgewise.errors import InvalidInput, TooLarge
from edgewise.types import Question
from router.modes import parse

MAX_QUESTION_BYTES = 1024 * 1024


def checked(question: Question, default_mode: str) -> Question:
    """The question with its mode filled in; InvalidInput or TooLarge says what is wrong with it."""
    try:
        size = sum(len(text.encode()) for text in (question.text, *(turn.text.value for turn in question.history)))
    except UnicodeEncodeError:
        raise InvalidInput("the question has lone surrogates, which no text has; send valid Unicode") from None
    if size > MAX_QUESTION_BYTES:
        raise TooLarge(
            f"the question and its history have {size} bytes, the limit is {MAX_QUESTION_BYTES}; ingest long texts"
        )
    if not question.text.strip():
        raise InvalidInput("the question is empty; send it as `text`")
    if question.history and question.conversation_id:
        raise InvalidInput("send history or conversation_id, not both")
    mode = question.mode or default_mode
    _, options = parse(mode)
    if question.response_schema:
        _check_schema(question, options)
    return question if mode == question.mode else question.model_copy(update={"mode": mode})


def _check_schema(question: Question, options: frozenset[str]) -> None:
    """Whether a side can enforce all of the schema is for the side to say."""
    try:
        schema = json.loads(question.response_schema)
    except RecursionError:
        raise InvalidInput("response_schema is nested too deeply; make it flatter") from None
    except ValueError as error:
        raise InvalidInput(f"response_schema is not JSON: {error}; send a JSON Schema as text") from None
    if not isinstance(schema, dict):
        raise InvalidInput('response_schema is not a JSON object; send a schema such as {"type": "object"}')
    if question.sampling is not None and question.sampling.stop:
        raise InvalidInput("a stop string would cut the JSON off; send response_schema or stop, not both")
    if "cot" in options:
        raise InvalidInput("+cot thinks aloud before it answers, for which a schema has no room; ask without +cot")
