"""Sums as a person writes them: + - * / % and brackets over plain numbers."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

_MOST_DIGITS = 15
_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}


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
