"""What an answer from texts of others may not have: a link or an image that leads anywhere but where the asker pointed.

An app that shows answers as Markdown or HTML loads images by itself, so an image's address can carry off what the model
has read (indirect prompt injection, Greshake et al. 2023). The words stay: of `[words](address)` they are what is left,
and an address that stands in the text is broken, `https[:]//`. There is no exception for code, because what one
renderer takes for code another one does not. Only an address that stands in the question, letter for letter, stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgewise.types import Prompt, Question

# Up to white space or `<`, as renderers find addresses; full-width punctuation ends them as well.
_STOP = r"\s<\uff0c\u3002\uff1b\uff1a\uff01\uff1f\u3001\uff09\u300b\u300d\u300f\u201d\u2019"
_ADDRESS = re.compile(rf"(?<![A-Za-z0-9+.-])(?:[A-Za-z][A-Za-z0-9+.-]{{0,30}}://|(?i:www\.))[^{_STOP}]*")
_TRAILING = ".,;:!?'\"`)]}*_~"
_TARGET = r"(?:[^()\n]|\([^()\n]*\)){0,2000}"
_LINK = re.compile(rf"\]\(({_TARGET})\)")
_LEADS = re.compile(r"[/\\]{2}|^[\s<]*+(?:[A-Za-z][A-Za-z0-9+.-]*:|(?i:www\.))")
_BREAKS = re.compile(
    r"(?P<colon>:)(?=\\?/\\?/)|(?i:www\.)|\](?=[(:])|<(?=[A-Za-z/!?])"
    r"|&(?=#|colon;|sol;|period;|lt;|lbrack;|lsqb;)"
)
# What may be the beginning of any of that: it waits for what comes next.
_OPEN = re.compile(rf"(?:\]\({_TARGET}(?:\([^()\n]*)?|\]?:\\?/?\\?|\]|<?(?i:w{{1,3}})|<|&[A-Za-z]{{0,6}})$")
_LAST_WORD = re.compile(rf"[^{_STOP}]{{1,2000}}<?")
"""Of a text that is read backwards."""
_LOOK_BACK = 5000
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(u[0-9A-Fa-f]{0,3}$|$)|.)", re.DOTALL)


def addresses(question: Question) -> frozenset[str]:
    """Those that the asker wrote: in the question, in earlier turns that no model wrote, in the schema."""
    texts = [question.text, question.response_schema]
    texts += [turn.text.value for turn in question.history if turn.role != "assistant"]
    return frozenset(found.rstrip(_TRAILING) for text in texts for found in _ADDRESS.findall(text))


def reads_others(prompt: Prompt) -> bool:
    """Whether a prompt has a text that neither the asker nor we wrote; an earlier answer may come from one."""
    return any(
        message.role == "assistant" or set(message.content.sources) - {"question"} for message in prompt.messages
    )


def defanged(text: str, asked: Iterable[str] = (), *, is_json: bool = False) -> str:
    """The whole of a text at once."""
    work = Defanging(frozenset(asked), is_json=is_json)
    return work.feed(text) + work.rest()


class Defanging:
    """A text that comes in pieces: each piece gives what can be shown by then, and `rest` what is left at its end.

    What comes out does not depend on where the pieces were cut. In JSON, what `\u0021` stands for is what counts.
    """

    def __init__(self, asked: frozenset[str], *, is_json: bool = False) -> None:
        self._asked = asked
        self._is_json = is_json
        self._raw = ""
        self._waiting = ""

    def feed(self, piece: str) -> str:
        text = self._waiting + (self._unescaped(self._raw + piece) if self._is_json else piece)
        opened = _OPEN.search(text, max(0, len(text) - _LOOK_BACK))
        end = opened.start() if opened else len(text)
        if self._asked and (word := _LAST_WORD.match(text[:-_LOOK_BACK:-1])):
            end = min(end, len(text) - word.end())
        self._waiting = text[end:]
        return self._broken(text[:end])

    def rest(self) -> str:
        text, self._waiting, self._raw = self._waiting + self._raw, "", ""
        return self._broken(text)

    def _unescaped(self, raw: str) -> str:
        """Printable ASCII as itself; an escape that is not there in full waits."""
        self._raw = ""

        def plain(escape: re.Match[str]) -> str:
            if escape[2] is not None:
                self._raw = escape[0]
                return ""
            letter = chr(int(escape[1], 16)) if escape[1] else escape[0][1:]
            means_itself = letter.isascii() and letter.isprintable() and letter not in '"\\'
            return letter if letter == "/" or (escape[1] and means_itself) else escape[0]

        return _ESCAPE.sub(plain, raw)

    def _broken(self, text: str) -> str:
        text = _LINK.sub(self._without_target, text)
        if not self._asked:
            return _BREAKS.sub(_break, text)
        parts, at = [], 0
        for found in _ADDRESS.finditer(text):
            if self._is_asked(found[0]):
                parts += [_BREAKS.sub(_break, text[at : found.start()]), found[0]]
                at = found.end()
        return "".join([*parts, _BREAKS.sub(_break, text[at:])])

    def _without_target(self, link: re.Match[str]) -> str:
        """`](address)` goes, unless it was asked about; what is no address (a call in a program) stays."""
        return "]" if _LEADS.search(link[1]) and not self._is_asked(link[1].strip()) else link[0]

    def _is_asked(self, address: str) -> bool:
        return address.rstrip(_TRAILING) in self._asked


def _break(found: re.Match[str]) -> str:
    return "[:]" if found["colon"] else f"{found[0]} "
