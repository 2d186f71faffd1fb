"""Is a grammar harmless? Tried in a child process, because compiling a hostile one takes all time and memory there is.

LLGuidance bounds most of its work, but not all: 24 patterns in one `allOf`, 700 bytes, need more memory than a device
has. The child has a second of CPU time and half a gigabyte, and leaves out the vocabulary, which is what takes long to
load. `python -m edge.llama.grammars.trial` reads a grammar from standard input and writes what is wrong with it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING

from edgewise.errors import InvalidInput

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

_CPU_S = 1
_MEMORY_BYTES = 512 * 1024 * 1024
_WAIT_S = 10.0
"""For a machine that is busy; the child gives up after a second of its own."""
_STEPS = 64
_UNKNOWN = "Unimplemented keys: "


def limits() -> LLParserLimits:
    """A step of an answer stays under 50 ms, and an answer's automaton under 40 MB, whatever the grammar."""
    from llguidance import LLParserLimits

    return LLParserLimits(
        max_items_in_row=500,
        initial_lexer_fuel=500_000,
        step_lexer_fuel=100_000,
        step_max_items=20_000,
        max_lexer_states=20_000,
        max_grammar_size=10_000,
        verbose_errors=False,
    )


def rehearse(grammar: str, name: str) -> None:
    """InvalidInput if this grammar of LLGuidance's is wrong or hostile; `name` is what its user calls it."""
    command = [sys.executable, "-m", "edge.llama.grammars.trial"]
    try:
        trial = subprocess.run(
            command,
            input=grammar.encode(),
            capture_output=True,
            timeout=_WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _hostile(name) from None
    if trial.returncode != 0:
        raise _hostile(name)
    if error := trial.stdout.decode(errors="replace"):
        raise InvalidInput(_explained(error, name))


def _hostile(name: str) -> InvalidInput:
    return InvalidInput(
        f"{name} takes more than {_CPU_S} s or {_MEMORY_BYTES >> 20} MiB to compile; "
        "give it fewer alternatives, and simpler patterns, above all under allOf"
    )


def _explained(error: str, name: str) -> str:
    line = error.partition("\n")[0]
    if line.startswith(_UNKNOWN):
        keywords = line.removeprefix(_UNKNOWN).strip("[]").replace('"', "")
        return f"{name} uses {keywords[:200]}, which cannot be enforced while an answer is written; leave it out"
    return f"{name} cannot be used: {line[:200]}"


def main() -> None:
    """Compile, then write the first bytes of an answer, as most grammars that explode do so at once."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S + 1))
    if sys.platform == "linux":  # elsewhere the second of CPU time has to do
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    from llguidance import LLMatcher

    matcher = LLMatcher(_bytes(), sys.stdin.buffer.read().decode(), log_level=0, limits=limits())
    for _ in range(_STEPS):
        if matcher.is_stopped():
            break
        _step(matcher)
    sys.stdout.write(matcher.get_error())


def _step(matcher: LLMatcher) -> None:
    allowed = int.from_bytes(matcher.compute_bitmask(), "little")
    if allowed:
        matcher.consume_token((allowed & -allowed).bit_length() - 1)


class _Bytes:
    """A vocabulary of the 256 bytes and an end."""

    tokens = (*(bytes([byte]) for byte in range(256)), b"<end>")
    special_token_ids = (256,)
    eos_token_id = 256
    bos_token_id = None

    def __call__(self, text: str) -> list[int]:
        return list(text.encode())


def _bytes() -> LLTokenizer:
    from llguidance import LLTokenizer, TokenizerWrapper

    return LLTokenizer(TokenizerWrapper(_Bytes()), slices=[])


if __name__ == "__main__":
    main()
