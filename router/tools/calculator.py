"""Arithmetic: the edge writes one line of it from the question and what was found, the calculator works it out."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence

from edgewise.types import Passage, Question
from router import prompts
from router.desk import Desk
from router.grounding import read_for
from router.tools.found import Found

_LINE = re.compile(r"[\d\s.,+\-*/()x×÷%^]+")
_MOST_DIGITS = 15
_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}


async def run(question: Question, passages: Sequence[Passage], desk: Desk) -> Found:
    facts = (await read_for(question, tuple(passages), desk)).facts(desk.settings.sentences)
    draft = await desk.edge.jot(prompts.calculation(question, facts), max_tokens=24)
    line = _LINE.match(draft.text.value.strip())
    expression = line.group().strip() if line else ""
    try:
        value = evaluate(expression)
    except ValueError as error:
        return Found(draft.text.derive(f"the calculator: {error}"))
    return Found(draft.text.derive(f"{expression} = {value:.10g}"), fact=True)


def evaluate(expression: str) -> float:
    """The value of + - * / % and brackets over plain numbers; ValueError says what it cannot work out."""
    plain = expression.replace(",", "").replace("x", "*").replace("×", "*").replace("÷", "/")
    try:
        value = _value(ast.parse(plain.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"cannot work out `{expression[:40]}`") from None
    except ZeroDivisionError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"`{expression[:40]}` has no value")
    return value


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=bool()):
            raise ValueError("only numbers can be worked out")
        case ast.Constant(value=int() | float() as number) if len(str(number)) <= _MOST_DIGITS:
            return float(number)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(left), _value(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case _:
            raise ValueError("only numbers with + - * / % and brackets can be worked out")
