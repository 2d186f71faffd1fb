"""What an answer may look like: JSON schemas and GBNF grammars, made into masks over the vocabulary by LLGuidance.

LLGuidance instead of llama.cpp's own grammar sampler, because a mask takes 0.1 ms and that sampler 6 to 30 ms a token
for a vocabulary of 49,000; because its work a token is bounded; and because an error of that sampler ends the process.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from edge.llama.grammars import gbnf
from edge.llama.grammars.lark import lark
from edge.llama.grammars.trial import limits, rehearse
from edgewise.errors import Internal, InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from llguidance import LLMatcher, LLTokenizer
    from llguidance._lib import JsonCompileOptions
    from numpy.typing import NDArray

    from edge.llama.vocabulary import Vocabulary

_CACHED = 64
_MAX_GRAMMAR = 16_384
_FORBIDDEN = "doesn't satisfy the grammar"
# One line with single spaces: what models write without being asked, the fewest tokens, and no blanks without end. A
# schema could set all of these through an extension of LLGuidance's; what is said here wins.
_JSON_STYLE: JsonCompileOptions = {
    "whitespace_flexible": False,
    "whitespace_pattern": None,
    "item_separator": ", ",
    "key_separator": ": ",
    "coerce_one_of": False,
    "lenient": False,
}


class Grammars:
    """The grammars of one model. Making one is free: the vocabulary is read, in half a second, at the first `compile`.

    The last 64 texts are kept compiled, refused ones with their refusal.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._tokenizer: LLTokenizer | None = None
        self._compiled: Callable[[str, str], Grammar | str] = lru_cache(_CACHED)(self._compile)

    def compile(self, response_schema: str = "", grammar: str = "") -> Grammar:
        """A JSON Schema or a GBNF grammar, as text; from any thread but the model's, because a new one blocks.

        A text that was not seen before takes a tenth of a second, a hostile one about a second. InvalidInput for what
        is no schema or grammar, for keywords that cannot be enforced, and for what would take too much time or memory.
        """
        if bool(response_schema) == bool(grammar):
            raise InvalidInput("give either response_schema or grammar, not both and not none")
        with self._lock:
            found = self._compiled(response_schema, grammar)
        if isinstance(found, str):
            raise InvalidInput(found)
        return found

    def _compile(self, response_schema: str, grammar: str) -> Grammar | str:
        try:
            source = _of_schema(response_schema) if response_schema else _of_grammar(grammar)
            rehearse(source, "response_schema" if response_schema else "grammar")
        except InvalidInput as refusal:
            return refusal.message
        from llguidance import LLMatcher

        if self._tokenizer is None:
            self._tokenizer = _tokenizer(self._vocabulary)
        matcher = LLMatcher(self._tokenizer, source, log_level=0, limits=limits())
        matcher.compute_bitmask()  # what this finds out is shared by all copies
        if matcher.is_error():
            return _too_complex(matcher)
        return Grammar(matcher, self._vocabulary.size)


class Grammar:
    """A compiled schema or grammar, for any number of answers."""

    def __init__(self, matcher: LLMatcher, vocabulary_size: int) -> None:
        self._matcher = matcher
        self._vocabulary_size = vocabulary_size

    def start(self) -> Constraint:
        """The constraint of one new answer; takes microseconds."""
        return Constraint(self._matcher.deep_copy(), self._vocabulary_size)


class Constraint:
    """Where one answer stands in its grammar: `mask`, draw a token, `accept` it, and so on.

    An answer that ends by itself obeys the grammar in full. One that is cut off, by `max_tokens` (its finish reason is
    then `length`) or by a stop string, is the beginning of one that would: JSON may be incomplete.
    """

    def __init__(self, matcher: LLMatcher, vocabulary_size: int) -> None:
        import numpy as np

        self._matcher = matcher
        self._words = np.zeros((vocabulary_size + 31) // 32, np.int32)
        self._bytes = self._words.view(np.uint8)
        self._address = self._words.ctypes.data
        self._penalties = _penalties()

    @property
    def is_finished(self) -> bool:
        """Nothing more can follow; a mask would allow the end-of-generation tokens only."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def mask(self, logits: NDArray[np.float32]) -> None:
        """Set the logits, [vocabulary], of what may not come next to -inf, in place.

        InvalidInput when the grammar turns out too ambiguous to follow.
        """
        import numpy as np

        self._matcher.unsafe_compute_mask_ptr(self._address, self._words.nbytes)
        if self._matcher.is_error():
            raise InvalidInput(_too_complex(self._matcher))
        penalties = self._penalties.take(self._bytes, axis=0).reshape(-1)
        np.add(logits, penalties[: len(logits)], out=logits)

    def accept(self, token: int) -> None:
        """Go on with this token, which the mask allowed."""
        if self._matcher.consume_token(token):
            return
        if _FORBIDDEN in self._matcher.get_error():
            raise Internal(f"token {token} does not follow the grammar, but was drawn; please report this")
        raise InvalidInput(_too_complex(self._matcher))


def _of_schema(text: str) -> str:
    from llguidance import LLMatcher

    try:
        schema = json.loads(text)
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("response_schema holds half a surrogate pair; send valid Unicode") from None
    except RecursionError:
        raise InvalidInput("response_schema is nested too deeply; make it flatter") from None
    except ValueError as error:
        raise InvalidInput(f"response_schema is not JSON: {error}; send a JSON Schema as text") from None
    if not isinstance(schema, dict):
        raise InvalidInput('response_schema is JSON, but not an object; send a schema such as {"type": "object"}')
    try:
        return LLMatcher.grammar_from_json_schema(text, overrides=_JSON_STYLE)
    except ValueError as error:
        raise InvalidInput(f"response_schema cannot be used: {str(error)[:200]}") from None


def _of_grammar(text: str) -> str:
    from llguidance import LLMatcher

    if len(text) > _MAX_GRAMMAR:
        raise InvalidInput(f"the grammar has {len(text)} characters, the limit is {_MAX_GRAMMAR}; make it shorter")
    try:
        return LLMatcher.grammar_from_lark(lark(gbnf.rules(text)))
    except RecursionError:
        raise InvalidInput("the rules of the grammar are nested too deeply; make it flatter") from None


class _Words:
    """The vocabulary as LLGuidance wants to see it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.tokens = [vocabulary.piece(token) for token in range(vocabulary.size)]
        self.special_token_ids = [token for token, piece in enumerate(self.tokens) if not piece]
        self.eos_token_id = vocabulary.eos
        self.bos_token_id = None if vocabulary.bos < 0 else vocabulary.bos

    def __call__(self, text: str) -> list[int]:
        return self._vocabulary.tokenize(text)


def _tokenizer(vocabulary: Vocabulary) -> LLTokenizer:
    from llguidance import LLTokenizer, TokenizerWrapper

    ends = [token for token in range(vocabulary.size) if vocabulary.ends(token)]
    return LLTokenizer(TokenizerWrapper(_Words(vocabulary)), eos_token=ends or None)


@lru_cache(maxsize=1)
def _penalties() -> NDArray[np.float32]:
    """What to add to eight logits for a byte of a mask, [256, 8]: 0 where its bit is set, -inf elsewhere."""
    import numpy as np

    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    return np.where(bits, np.float32(0), np.float32(-np.inf))


def _too_complex(matcher: LLMatcher) -> str:
    return (
        f"the schema or grammar allows too much at one place ({_first_line(matcher)}); give it fewer alternatives, "
        "fewer optional properties, or simpler patterns"
    )


def _first_line(matcher: LLMatcher) -> str:
    return matcher.get_error().partition("\n")[0][:150]
