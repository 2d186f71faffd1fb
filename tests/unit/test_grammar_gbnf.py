"""GBNF means to LLGuidance what it means to llama.cpp; a vocabulary of bytes is enough to see that."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from edge.llama.grammars import gbnf
from edge.llama.grammars.lark import lark
from edge.llama.grammars.trial import limits
from edgewise.errors import InvalidInput

JSON = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws   # escapes
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws     ::= | " " | "\n" [ \t]{0,20}
"""


class Bytes:
    tokens = (*(bytes([byte]) for byte in range(256)), b"<end>")
    special_token_ids = (256,)
    eos_token_id = 256
    bos_token_id = None

    def __call__(self, text: str) -> list[int]:
        return list(text.encode())


BYTES = LLTokenizer(TokenizerWrapper(Bytes()), slices=[])


def accepts(source: str, text: str) -> bool:
    matcher = LLMatcher(BYTES, LLMatcher.grammar_from_lark(source), log_level=0, limits=limits())
    assert not matcher.is_error(), matcher.get_error()
    data = list(text.encode())
    return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()


@pytest.mark.parametrize(
    ("grammar", "right", "wrong"),
    [
        (JSON, ['{"a": [1, -2.5e3, "x\\n\\u00e9é", {"b": {}}, null] }', "{}"], ["[1]", '{"a" 1}', '{"a": 01}']),
        ('root ::= word "x"\nword ::= [a-z]+', ["abcx", "xx"], ["abc", "x"]),  # the longest word would eat the x
        ('root ::= a\na ::= "(" a ")" | [a-z]+ "x"', ["((abx))", "abx"], ["(ab)"]),
        ('root ::= "yes" x | "yesterday" x\nx ::= "(" x ")" | "."', ["yes(.)", "yesterday."], ["yester."]),
        ("root ::= x\nx ::= [0-9]+ x | [0-9]+ [.]", ["12.", "1."], ["12", "."]),
        (r'root ::= "\u0041" [\u0042-\u0044] "\x45" "\U0001F600" [^"/] "/"', ["ABE😀é/"], ["ABE😀//"]),
        ("root ::= . .", ["\né"], ["a", "abc"]),
        ('root ::= "a" | root "b"', ["abb"], ["b"]),
        ('root ::= ""', [""], ["a"]),
        ('root ::= ((("a"{2}){2}){1,2})', ["aaaa", "aaaaaaaa"], ["aaaaa"]),
        ('root ::= start\nstart ::= foo-bar\nfoo-bar ::= "y" fooBar?\nfooBar ::= "z"', ["y", "yz"], ["z"]),
        (r"root ::= [\]\[-] [-a] [a-] [\x2d-\x2f]", ["]--/", "-aa."], ["a-a-"]),
        ('root ::= "a" # a remark with ::= and "\n  | "b"', ["a", "b"], ["c"]),
    ],
)
def test_a_grammar_takes_what_it_should(grammar: str, right: list[str], wrong: list[str]) -> None:
    source = lark(gbnf.rules(grammar))
    assert {text: accepts(source, text) for text in [*right, *wrong]} == dict.fromkeys(right, True) | dict.fromkeys(
        wrong, False
    )


@pytest.mark.parametrize(
    "grammar",
    [
        "",
        'x ::= "a"',
        "root ::= missing",
        'root ::= ("a" | "b"',
        'root ::= "a" )',
        "root ::= [a",
        'root ::= "a',
        'root = "a"',
        'root ::= "a"\nroot ::= "b"',
        "root ::= [z-a]",
        "root ::= []",
        r'root ::= "\q"',
        r'root ::= "\ud800"',
        'root ::= "\ud800"',
        "root ::= <token>",
        "root ::= *",
        "root ::= " + "(" * 300 + '"a"' + ")" * 300,
        "root ::= r0\n" + "\n".join(f"r{place} ::= r{place + 1} r{place + 1}" for place in range(60)) + '\nr60 ::= "c"',
    ],
)
def test_what_is_no_grammar_is_refused(grammar: str) -> None:
    with pytest.raises(InvalidInput, match=r"grammar"):
        lark(gbnf.rules(grammar))


Ends = frozenset[int]


def ends(rules: dict[str, gbnf.Node], text: str) -> Ends:
    """Where the texts of `root` that begin `text` can end: by the definition, until a round finds nothing new."""
    known: dict[tuple[str, int], Ends] = {}
    while True:
        before = dict(known)
        for name, node in rules.items():
            for start in range(len(text) + 1):
                known[name, start] = after(node, text, frozenset({start}), known)
        if known == before:
            return known["root", 0]


def after(node: gbnf.Node, text: str, starts: Ends, known: dict[tuple[str, int], Ends]) -> Ends:
    match node:
        case gbnf.Chars(_, members):
            return frozenset(at + 1 for at in starts if at < len(text) and members >> ord(text[at]) & 1)
        case gbnf.Ref(name):
            return frozenset(end for at in starts for end in known.get((name, at), frozenset()))
        case gbnf.Sequence(parts):
            for part in parts:
                starts = after(part, text, starts, known)
            return starts
        case gbnf.Choice(options):
            return frozenset(end for option in options for end in after(option, text, starts, known))
        case gbnf.Repeat(body, least, most):
            found: Ends = starts if least == 0 else frozenset()
            for count in range(1, (least + len(text) + 1 if most is None else most) + 1):
                starts = after(body, text, starts, known)
                found |= starts if count >= least else frozenset()
            return found


def grammars() -> st.SearchStrategy[str]:
    atoms = st.sampled_from(['"a"', '"b"', '"ab"', '""', "[ab]", "[^a]", "root", "x", "y"])
    parts = st.tuples(atoms, st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,2}"])).map("".join)
    bodies = st.lists(st.lists(parts, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=3).map(" | ".join)
    return st.tuples(bodies, bodies, bodies).map(lambda texts: "root ::= {}\nx ::= {}\ny ::= {}".format(*texts))


@settings(max_examples=150, deadline=None)
@given(grammar=grammars(), texts=st.lists(st.text("ab", max_size=6), min_size=1, max_size=8, unique=True))
def test_any_grammar_takes_exactly_what_it_defines(grammar: str, texts: list[str]) -> None:
    rules = gbnf.rules(grammar)
    source = lark(rules)
    matcher = LLMatcher(BYTES, LLMatcher.grammar_from_lark(source), log_level=0, limits=limits())
    assume(not matcher.is_error())  # such as a grammar without any text, or without end
    assert {text: accepts(source, text) for text in texts} == {text: len(text) in ends(rules, text) for text in texts}
