"""Writes a grammar in the dialect of Lark that LLGuidance reads.

LLGuidance splits text into lexemes, the longest first, before it parses: `[a-z]+ "x"` of two lexemes would never end.
So a part without recursion becomes one lexeme only where it cannot eat what follows. If the rest can be told apart by
its next character (it is LL(1)), nothing is lost; if not, every character is a lexeme, which is exact, and slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from edge.llama.grammars.gbnf import Chars, Choice, Node, Ref, Repeat, Sequence, refs
from edgewise.errors import InvalidInput

_MAX_REGEX = 50_000
_MAX_ROUNDS = 10


def lark(rules: dict[str, Node]) -> str:
    """Rules that begin at `root`, for LLGuidance; InvalidInput for rules that are too much."""
    return _Writer(rules, coarse=True).lark() or _Writer(rules, coarse=False).lark()


@dataclass(frozen=True, slots=True)
class _Shape:
    """Of the texts of a part: whether one is empty, their first characters, those that make one longer, and all."""

    empty: bool = False
    first: int = 0
    more: int = 0
    members: int = 0


class _Writer:
    """`coarse` makes lexemes of more than one character."""

    def __init__(self, rules: dict[str, Node], *, coarse: bool) -> None:
        self._rules = rules
        self._coarse = coarse
        self._regexes: dict[str, str] = {}
        self._shapes = dict.fromkeys(rules, _Shape())
        self._follow = dict.fromkeys(rules, 0)
        self._names = {name: "start" if name == "root" else f"r{place}" for place, name in enumerate(rules)}
        for name in _without_recursion(rules):
            self._regexes[name] = self._regex(rules[name])
            self._shapes[name] = self._shape(rules[name])
        self._recursive = {name: node for name, node in rules.items() if name not in self._regexes}
        self._is_ll1 = True

    def lark(self) -> str:
        """Nothing, if coarse lexemes would change the grammar."""
        if "root" in self._regexes:
            return f"start: {_lexeme(self._regexes['root'], self._shapes['root'])}\n"
        if not self._coarse:
            return self._written()
        for _ in range(_MAX_ROUNDS):
            shapes, follow = dict(self._shapes), dict(self._follow)
            self._shapes |= {name: self._shape(node) for name, node in self._recursive.items()}
            written = self._written()
            if (shapes, follow) == (self._shapes, self._follow):
                return written if self._is_ll1 else ""
        return ""

    def _written(self) -> str:
        rules = [(self._names[name], self._emit(node, self._follow[name])) for name, node in self._recursive.items()]
        return "".join(f"{name}: {body}\n" for name, body in rules)

    def _emit(self, node: Node, follow: int) -> str:
        """The part in Lark, before any of these characters. Notes what follows a rule, and what is not LL(1)."""
        if self._coarse and self._is_regular(node):
            shape = self._shape(node)
            if not shape.more & follow:
                return _lexeme(self._regex(node), shape)
        match node:
            case Chars(regex):
                return f"/{regex}/"
            case Ref(name) if name in self._regexes:
                return self._emit(self._rules[name], follow)
            case Ref(name):
                self._follow[name] |= follow
                return self._names[name]
            case Sequence(parts):
                texts = []
                for part in reversed(parts):
                    texts.append(self._emit(part, follow))
                    shape = self._shape(part)
                    follow = shape.first | (follow if shape.empty else 0)
                return " ".join(reversed(texts)) or '""'
            case Choice(options):
                starts = [(shape.first | (follow if shape.empty else 0)) for shape in map(self._shape, options)]
                self._is_ll1 &= _disjoint(starts)
                return f"({' | '.join(self._emit(option, follow) for option in options)})"
            case Repeat(body, least, most):
                shape = self._shape(body)
                self._is_ll1 &= not shape.empty and _disjoint([shape.first, follow])
                inside = follow if most == 1 else follow | shape.first
                return f"({self._emit(body, inside)}){_times(least, most)}"

    def _is_regular(self, node: Node) -> bool:
        return all(name in self._regexes for name in refs(node))

    def _regex(self, node: Node) -> str:
        match node:
            case Chars(regex):
                return regex
            case Ref(name):
                return self._regexes[name]
            case Sequence(parts):
                return _joined("", map(self._regex, parts))
            case Choice(options):
                return f"(?:{_joined('|', map(self._regex, options))})"
            case Repeat(body, least, most):
                return f"(?:{self._regex(body)}){_times(least, most)}"

    def _shape(self, node: Node) -> _Shape:
        match node:
            case Chars(_, members):
                return _Shape(first=members, members=members)
            case Ref(name):
                return self._shapes[name]
            case Sequence(parts):
                whole = _Shape(empty=True)
                for part in parts:
                    whole = _then(whole, self._shape(part))
                return whole
            case Choice(options):
                shapes = [self._shape(option) for option in options]
                whole = _Shape()
                for shape in shapes:
                    whole = _Shape(
                        whole.empty or shape.empty,
                        whole.first | shape.first,
                        whole.more | shape.more,
                        whole.members | shape.members,
                    )
                return _completed(whole, clear=_disjoint([shape.first for shape in shapes]))
            case Repeat(body, least, most):
                one = self._shape(body)
                more = one.more if most == least else one.more | one.first
                whole = _Shape(one.empty or least == 0, one.first, more, one.members)
                return _completed(whole, clear=most == 1 or not one.more & one.first)


def _without_recursion(rules: dict[str, Node]) -> Iterator[str]:
    """The rules that lead into no cycle, each after those that it uses."""
    sorter = TopologicalSorter({name: set(refs(node)) for name, node in rules.items()})
    with suppress(CycleError):
        sorter.prepare()
    while ready := sorter.get_ready():
        yield from ready
        sorter.done(*ready)


def _then(one: _Shape, next_one: _Shape) -> _Shape:
    more = next_one.more | ((one.more | next_one.first) if next_one.empty else 0)
    whole = _Shape(
        one.empty and next_one.empty,
        one.first | (next_one.first if one.empty else 0),
        more,
        one.members | next_one.members,
    )
    return _completed(whole, clear=not one.more & next_one.first)


def _completed(shape: _Shape, *, clear: bool) -> _Shape:
    """With an upper bound of `more`, for when it is not clear from the next character where a text belongs."""
    more = shape.more | (shape.first if shape.empty else 0) if clear else shape.members
    return _Shape(shape.empty, shape.first, more, shape.members)


def _disjoint(sets: list[int]) -> bool:
    seen = 0
    for members in sets:
        if seen & members:
            return False
        seen |= members
    return True


def _lexeme(regex: str, shape: _Shape) -> str:
    if not shape.first:
        return '""'
    return f"/{regex}/?" if shape.empty else f"/{regex}/"


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{'' if most is None else most}}}"


def _joined(separator: str, parts: Iterator[str]) -> str:
    texts, length = [], 0
    for text in parts:
        texts.append(text)
        length += len(text)
        if length > _MAX_REGEX:
            raise InvalidInput("the rules of the grammar contain each other too often; repeat parts with {m,n}")
    return separator.join(texts)
