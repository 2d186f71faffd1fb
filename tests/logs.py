"""Answers in a log, as a router would have left them there."""

from __future__ import annotations

from edgewise.types import Grade, Grounding, Record
from router.log import Log, now
from router.meter import SideCall


def record(name: str, **given: object) -> Record:
    return Record.model_validate(
        {"record_id": name, "question": "why?", "answer": "so", "mode": "agent", "created_at": now(), **given}
    )


def call(key: str, **given: object) -> SideCall:
    known = {"key": key, "side": "edge", "kind": "score", "request": "{}", "started_s": 0.0, "ended_s": 1.0}
    return SideCall.model_validate({**known, **given})


async def answered(log: Log, name: str, question: str, author: str, *grades: float, **given: object) -> None:
    record = Record.model_validate(
        {
            "record_id": name, "question": question, "answer": f"by {name}", "author": author, "mode": "edge_only",
            "grounding": Grounding.OWN_KNOWLEDGE, "finish_reason": "stop", **given,
        }
    )  # fmt: skip
    known = {"logprobs": (-0.5,), "entropies": (0.25,), "margins": (1.5,)} if author == "edge" else {}
    call = SideCall.model_validate(
        {
            "key": name, "side": author, "kind": "generate", "request": "{}", "response": record.answer,
            "started_s": 0.0, "ended_s": 1.0, **known,
        }
    )  # fmt: skip
    thought = call.model_copy(update={"response": "something on the way", "logprobs": (-9.0,)})
    await log.write(record, (thought, call))
    for grade in grades:
        await log.grade(Grade(record_id=name, grader="g", score=grade))
