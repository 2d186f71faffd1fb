"""Masks over the real vocabulary. Tokens are drawn at random, not by the model: a mask has to hold for any model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from edge.llama import native
from edge.llama.grammars.grammar import Constraint, Grammars
from edge.llama.vocabulary import Vocabulary
from edgewise.errors import Internal, InvalidInput


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Flat(Strict):
    name: Annotated[str, Field(max_length=12)]
    age: Annotated[int, Field(ge=0, le=130)]
    happy: bool


class Verdict(Strict):
    label: Literal["positive", "negative", "neutral"]
    score: Annotated[float, Field(ge=0, le=1)]


class Address(Strict):
    city: Annotated[str, Field(min_length=1, max_length=10)]
    code: Annotated[str, Field(pattern=r"^[A-Z]{3}-[0-9]{4}$")]


class Person(Strict):
    address: Address
    tags: Annotated[list[Annotated[str, Field(max_length=5)]], Field(min_length=1, max_length=3)]
    nickname: Annotated[str, Field(max_length=8)] | None


class Node(Strict):
    value: Annotated[int, Field(ge=-9, le=9)]
    next: Node | None


class Circle(Strict):
    kind: Literal["circle"]
    radius: Annotated[int, Field(ge=1, le=99)]


class Square(Strict):
    kind: Literal["square"]
    side: Annotated[int, Field(ge=1, le=99)]


class Drawing(Strict):
    shape: Annotated[Circle | Square, Field(discriminator="kind")]


YES_OR_NO = 'root ::= "yes" | "no" | "I do not know"'


@pytest.fixture(scope="module")
def vocabulary(gguf: Path) -> Iterator[Vocabulary]:
    llama = native.start().llama
    params = llama.llama_model_default_params()
    params.vocab_only = True
    model = llama.llama_model_load_from_file(str(gguf).encode(), params)
    yield Vocabulary(model)
    llama.llama_model_free(model)


@pytest.fixture(scope="module")
def grammars(vocabulary: Vocabulary) -> Grammars:
    return Grammars(vocabulary)


def schema(kind: type[BaseModel]) -> str:
    return json.dumps(kind.model_json_schema())


def liking(vocabulary: Vocabulary) -> NDArray[np.float32]:
    """What makes a random walk come to an end now and then."""
    closing = (b'"', b"}", b"]", b"null")
    pieces = [vocabulary.piece(token) for token in range(vocabulary.size)]
    return np.array([6.0 if not piece or piece.endswith(closing) else 0.0 for piece in pieces], np.float32)


def walk(constraint: Constraint, vocabulary: Vocabulary, likes: NDArray[np.float32], seed: int) -> str | None:
    """An answer of random tokens that the mask allows; None if it does not end by itself."""
    random = np.random.default_rng(seed)
    pieces = b""
    for _ in range(200):
        row = random.normal(size=vocabulary.size).astype(np.float32) + likes
        before = row.copy()
        constraint.mask(row)
        allowed = np.isfinite(row)
        assert allowed.any()
        assert (row[allowed] == before[allowed]).all()
        token = int(row.argmax())
        if constraint.is_finished:
            assert all(vocabulary.ends(int(other)) for other in np.flatnonzero(allowed))
        if vocabulary.ends(token):
            return pieces.decode()
        constraint.accept(token)
        pieces += vocabulary.piece(token)
    return None


@pytest.mark.parametrize("kind", [Flat, Verdict, Person, Node, Drawing])
def test_what_ends_by_itself_is_valid(kind: type[BaseModel], grammars: Grammars, vocabulary: Vocabulary) -> None:
    grammar = grammars.compile(response_schema=schema(kind))
    likes = liking(vocabulary)
    texts = [walk(grammar.start(), vocabulary, likes, seed) for seed in range(12)]
    ended = [text for text in texts if text is not None]
    assert ended
    for text in ended:
        TypeAdapter(kind).validate_json(text)


def test_any_json_is_json(grammars: Grammars, vocabulary: Vocabulary) -> None:
    grammar = grammars.compile(response_schema='{"type": "object"}')
    likes = liking(vocabulary)
    ended = [text for seed in range(12) if (text := walk(grammar.start(), vocabulary, likes, seed)) is not None]
    assert ended
    assert all(isinstance(json.loads(text), dict) for text in ended)


def test_a_gbnf_grammar_is_obeyed(grammars: Grammars, vocabulary: Vocabulary) -> None:
    grammar = grammars.compile(grammar=YES_OR_NO)
    likes = np.zeros(vocabulary.size, np.float32)
    texts = {walk(grammar.start(), vocabulary, likes, seed) for seed in range(12)}
    assert texts <= {"yes", "no", "I do not know"}
    assert len(texts) > 1


def test_answers_of_one_grammar_do_not_disturb_each_other(grammars: Grammars, vocabulary: Vocabulary) -> None:
    grammar = grammars.compile(grammar=YES_OR_NO)
    one, other = grammar.start(), grammar.start()
    for token in vocabulary.tokenize("yes"):
        one.accept(token)
    assert (one.is_finished, other.is_finished) == (True, False)
    for token in vocabulary.tokenize("no"):
        other.accept(token)
    assert other.is_finished
    one.accept(vocabulary.eos)


def test_a_token_that_the_mask_forbids_is_a_fault(grammars: Grammars, vocabulary: Vocabulary) -> None:
    constraint = grammars.compile(grammar=YES_OR_NO).start()
    with pytest.raises(Internal, match="does not follow"):
        constraint.accept(vocabulary.tokenize("Zebra")[0])


def test_a_text_is_compiled_once(grammars: Grammars) -> None:
    assert grammars.compile(response_schema=schema(Flat)) is grammars.compile(response_schema=schema(Flat))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "response_schema"),
        ('{"title": "\ud800"}', "surrogate"),
        ("[1]", "not an object"),
        ('"string"', "not an object"),
        ('{"type": "strong"}', "strong"),
        ('{"not": {"type": "string"}}', "uses not,"),
        ('{"not": {"type": "string"}, "x-guidance": {"lenient": true}}', "uses not,"),
        ('{"type": "array", "uniqueItems": true}', "uses uniqueItems,"),
        ('{"type": "string", "format": "zebra"}', "zebra"),
        ('{"type": "string", "pattern": "(?=a)b"}', "response_schema"),
        ('{"$ref": "http://example.com/schema"}', "response_schema"),
        ('{"type": "integer", "minimum": 5, "maximum": 3}', "minimum"),
        ('{"$ref": "#"}', "response_schema"),  # no text obeys it
        ('{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}', "response_schema"),
    ],
)
def test_what_is_no_schema_is_refused(text: str, hint: str, grammars: Grammars) -> None:
    with pytest.raises(InvalidInput, match=hint) as refused:
        grammars.compile(response_schema=text)
    assert len(refused.value.message) < 500


def patterns(count: int) -> str:
    return json.dumps({"allOf": [{"type": "string", "pattern": f"a.*{place}"} for place in range(count)]})


@pytest.mark.parametrize(
    "text",
    [
        patterns(40),  # 2^40 intersections
        json.dumps({"allOf": [{"type": "integer", "multipleOf": prime} for prime in (2, 3, 5, 7, 11, 13, 17, 19, 23)]}),
        json.dumps({"type": "integer", "multipleOf": 1_000_000_007}),
        json.dumps({"type": "string", "pattern": "^(a?){5000}a{5000}$"}),
        json.dumps({"type": "object", "properties": {f"p{place}": {} for place in range(5000)}}),
    ],
)
def test_a_hostile_schema_is_refused(text: str, grammars: Grammars) -> None:
    with pytest.raises(InvalidInput):
        grammars.compile(response_schema=text)
    with pytest.raises(InvalidInput):  # the refusal is remembered
        grammars.compile(response_schema=text)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"type": "string", "minLength": 10**9, "maxLength": 10**9}),
        json.dumps({"type": "array", "items": {"type": "integer"}, "minItems": 10**9}),
        "{" + '"type": "array", "minItems": 1000, "items": {' * 5 + '"type": "null"' + "}" * 6,
        json.dumps({"type": "string", "pattern": "^(a+)+(b|b)*$"}),
        json.dumps({"type": "string", "pattern": "^(.*a.{20})$"}),
    ],
)
def test_a_huge_but_harmless_schema_is_followed(text: str, grammars: Grammars, vocabulary: Vocabulary) -> None:
    constraint = grammars.compile(response_schema=text).start()
    walk(constraint, vocabulary, np.zeros(vocabulary.size, np.float32), seed=1)


@pytest.mark.parametrize(
    "text", ['root ::= "a" root', "root ::= x{50}\nx ::= x x | [a-z]", 'root ::= (((("a"{1000}){1000}){1000}){1000})']
)
def test_a_hostile_grammar_is_refused(text: str, grammars: Grammars) -> None:
    with pytest.raises(InvalidInput):
        grammars.compile(grammar=text)


def test_an_ambiguous_grammar_ends_with_an_error(grammars: Grammars, vocabulary: Vocabulary) -> None:
    constraint = grammars.compile(grammar="root ::= x\nx ::= x x x | x x | [a-z]").start()
    with pytest.raises(InvalidInput, match="allows too much"):
        walk(constraint, vocabulary, np.zeros(vocabulary.size, np.float32), seed=1)


@pytest.mark.parametrize("given", [("", ""), ("{}", 'root ::= "a"')])
def test_one_of_the_two_is_given(given: tuple[str, str], grammars: Grammars) -> None:
    with pytest.raises(InvalidInput, match="either"):
        grammars.compile(*given)


def test_a_long_grammar_is_refused(grammars: Grammars) -> None:
    with pytest.raises(InvalidInput, match="the limit is"):
        grammars.compile(grammar='root ::= "' + "a" * 20_000 + '"')
