"""Reads GBNF, llama.cpp's grammar format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgewise.errors import InvalidInput

ANY = (1 << 129) - 1
"""A set of characters: a bit for each of ASCII, and one for all others together."""
_OTHER = 1 << 128
_MAX_DEPTH = 60

_TOKEN = re.compile(
    r"""
      (?P<gap>    (?: [ \t\r\n] | \#[^\n]* )+ )
    | (?P<rule>   [A-Za-z0-9_-]+ ) [ \t]* ::=
    | (?P<name>   [A-Za-z0-9_-]+ )
    | (?P<text>   " (?: [^"\\\n] | \\. )* " )
    | (?P<class>  \[ (?: [^\]\\\n] | \\. )* \] )
    | (?P<times>  [*+?] | \{ \s* [0-9]{1,6} \s* (?: , \s* (?: [0-9]{1,6} \s* )? )? \} )
    | (?P<sign>   [.()|] )
    """,
    re.VERBOSE,
)
_CHARACTER = re.compile(r"\\x([0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})|\\([nrt\\\"\[\]])|([^\\])")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set."""

    regex: str
    members: int


@dataclass(frozen=True, slots=True)
class Ref:
    name: str


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    body: Node
    least: int
    most: int | None


Node = Chars | Ref | Sequence | Choice | Repeat


def rules(grammar: str) -> dict[str, Node]:
    """The rules by name, `root` among them; InvalidInput says where the text is wrong."""
    return _Reader(grammar).rules()


def refs(node: Node) -> Iterator[str]:
    match node:
        case Ref():
            yield node.name
        case Sequence(children) | Choice(children):
            for child in children:
                yield from refs(child)
        case Repeat():
            yield from refs(node.body)


class _Reader:
    def __init__(self, grammar: str) -> None:
        self._grammar = grammar
        self._tokens = list(_tokens(grammar))
        self._at = 0

    def rules(self) -> dict[str, Node]:
        rules: dict[str, Node] = {}
        while self._at < len(self._tokens):
            name = self._take("rule")
            if name in rules:
                raise self._wrong(f"the rule {name[:60]} is there twice")
            rules[name] = self._choice(0)
        if "root" not in rules:
            raise InvalidInput("the grammar has no rule `root`; an answer starts there")
        missing = sorted({ref for node in rules.values() for ref in refs(node)} - rules.keys())
        if missing:
            raise InvalidInput(f"the grammar has no rule `{missing[0][:60]}`, which another rule uses; add it")
        return rules

    def _choice(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise self._wrong(f"parentheses are nested more than {_MAX_DEPTH} deep")
        options = [self._sequence(depth)]
        while self._is("sign", "|"):
            self._at += 1
            options.append(self._sequence(depth))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while (part := self._part(depth)) is not None:
            while self._at < len(self._tokens) and self._tokens[self._at][0] == "times":
                part = _repeated(part, self._take("times"))
            parts.append(part)
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _part(self, depth: int) -> Node | None:
        kind, value, _ = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "", 0)
        self._at += 1
        match kind, value:
            case "name", _:
                return Ref(value)
            case "text", _:
                return Sequence(tuple(_one(code) for _, code in self._codes(value[1:-1])))
            case "class", _:
                return self._class(value[1:-1])
            case "sign", ".":
                return Chars("(?s:.)", ANY)
            case "sign", "(":
                inside = self._choice(depth + 1)
                if not self._is("sign", ")"):
                    raise self._wrong("a parenthesis is not closed")
                self._at += 1
                return inside
        self._at -= 1
        return None

    def _class(self, inside: str) -> Chars:
        is_negative = inside.startswith("^")
        codes = list(self._codes(inside.removeprefix("^")))
        members, items, at = 0, "", 0
        while at < len(codes):
            low = high = codes[at][1]
            if at + 2 < len(codes) and codes[at + 1][0] == "-":
                high, at = codes[at + 2][1], at + 2
            if high < low:
                raise self._wrong("a range in [...] runs backwards")
            items += _escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}"
            members |= _between(low, high)
            at += 1
        if not items:
            raise self._wrong("a [...] is empty")
        if is_negative:
            return Chars(f"[^{items}]", (~members & ANY) | _OTHER)
        return Chars(f"[{items}]", members)

    def _codes(self, text: str) -> Iterator[tuple[str, int]]:
        """Each character as it is written, and its code point."""
        at = 0
        while at < len(text):
            found = _CHARACTER.match(text, at)
            if found is None:
                raise self._wrong(f"there is no escape {text[at : at + 2]}")
            *digits, letter, plain = found.groups()
            code = next((int(number, 16) for number in digits if number), None)
            code = ord(plain or _ESCAPED.get(letter, letter)) if code is None else code
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise self._wrong(f"half a surrogate pair, {code:x}, is no character")
            yield found[0], code
            at = found.end()

    def _is(self, kind: str, value: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at][:2] == (kind, value)

    def _take(self, kind: str) -> str:
        found, value, _ = self._tokens[self._at]
        if found != kind:
            raise self._wrong("a new rule, as `name ::= ...`, or the end is expected")
        self._at += 1
        return value

    def _wrong(self, what: str) -> InvalidInput:
        place = self._tokens[min(self._at, len(self._tokens) - 1)][2]
        return InvalidInput(f"the grammar is not GBNF: {what}, near line {_line(self._grammar, place)}")


def _tokens(grammar: str) -> Iterator[tuple[str, str, int]]:
    at = 0
    while at < len(grammar):
        found = _TOKEN.match(grammar, at)
        if found is None:
            near = grammar[at : at + 20]
            raise InvalidInput(f"the grammar is not GBNF: {near!r} in line {_line(grammar, at)} means nothing there")
        if found.lastgroup != "gap":
            assert found.lastgroup is not None
            yield found.lastgroup, found[found.lastgroup], at
        at = found.end()


def _line(grammar: str, at: int) -> int:
    return grammar.count("\n", 0, at) + 1


def _repeated(part: Node, times: str) -> Node:
    match times[0]:
        case "*":
            return Repeat(part, 0, None)
        case "+":
            return Repeat(part, 1, None)
        case "?":
            return Repeat(part, 0, 1)
    least, comma, most = times[1:-1].partition(",")
    return Repeat(part, int(least), int(most) if most.strip() else None if comma else int(least))


def _one(code: int) -> Chars:
    return Chars(_escaped(code), _between(code, code))


def _escaped(code: int) -> str:
    return chr(code) if code < 128 and chr(code).isalnum() else f"\\x{{{code:x}}}"


def _between(low: int, high: int) -> int:
    ascii_part = ((1 << min(high, 127) + 1) - 1) & ~((1 << low) - 1) if low < 128 else 0
    return ascii_part | (_OTHER if high >= 128 else 0)
