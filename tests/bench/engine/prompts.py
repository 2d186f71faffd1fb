"""Chat prompts of an exact number of tokens, alike for all contenders and never the same twice."""

from __future__ import annotations

import io
import random
from contextlib import redirect_stderr
from itertools import takewhile
from pathlib import Path

from tests.bench.engine.contenders import messages
from tests.bench.engine.plan import Asked, Workload

_WORDS = (
    "amber anchor apple autumn barrel basket beacon bell boat bread breeze bridge bronze cabin candle canvas captain "
    "castle cherry circle clay cliff clock cloud coast coffee copper coral cotton creek crow curtain dawn desert door "
    "dream drum dust eagle engine evening farm feather fence field fire fish flag flame flute forest fox frost fruit "
    "garden gate ghost glass gold grain grass guest hammer harbor harvest hawk heart hedge hill honey horse house ice "
    "ink iron island ivory jacket journey kettle key king kitchen kite ladder lake lamp lantern leaf lemon letter "
    "library lily linen lion map maple market marsh meadow milk mill mirror moon morning moss mountain mouse music "
    "nest night north oak ocean olive orange orchard owl paint palace paper path pearl pepper pine planet plum pocket "
    "pond prince queen rabbit rain reed ring river road roof rope rose sail salt sand school sea seed shadow sheep "
    "shell ship shore silk silver sister sky smoke snow soap song south spring square stable star station steam steel "
    "stone storm story stream street summer sun table tea thread thunder ticket tiger timber tower town train tree "
    "valley velvet village violin voice wagon wall water wave west wheat wheel willow wind window winter wolf wood"
)
_ASK = "Write a long story with these words."


class PromptMaker:
    """Counts with the model's own vocabulary and chat template, through llama-cpp-python's public interface."""

    def __init__(self, model: Path, seed: int) -> None:
        from llama_cpp import Llama
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        with redirect_stderr(io.StringIO()):  # llama.cpp warns about the context of a model without weights
            self._llama = llama = Llama(str(model), vocab_only=True, verbose=False)
        names = [llama.detokenize([token], special=True).decode() for token in (llama.token_bos(), llama.token_eos())]
        self._formatter = Jinja2ChatFormatter(
            llama.metadata["tokenizer.chat_template"], bos_token=names[0], eos_token=names[1]
        )
        self._random = random.Random(seed)
        self._words = [word for word in _WORDS.split() if len(self._tokens(f" {word}")) == 1]

    def close(self) -> None:
        self._llama.close()

    def batch(self, workload: Workload, count: int) -> tuple[Asked, ...]:
        """In a random order, which is the same for all contenders."""
        if not workload.shared_tokens:
            return tuple(self.alone(workload.prompt_tokens) for _ in range(count))
        sharing = (count + 1) // 2
        asked = list(self.sharing(workload.prompt_tokens, workload.shared_tokens, sharing))
        asked += [self.alone(workload.prompt_tokens) for _ in range(count - sharing)]
        self._random.shuffle(asked)
        return tuple(asked)

    def alone(self, tokens: int) -> Asked:
        """A prompt that has nothing but the template in common with any other."""
        return self._of_length(f"You write about the {self._some(1)}.", tokens)

    def sharing(self, tokens: int, shared_tokens: int, count: int) -> tuple[Asked, ...]:
        """Prompts that have just their first `shared_tokens` in common."""
        system = f"You know these words: {self._some(1)}"
        one, other = (self._rendered(system, f"The {word}. {_ASK}") for word in self._words[:2])
        missing = shared_tokens - sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=True))
        )
        if missing < 1:
            raise ValueError(f"prompts of this kind always share more than {shared_tokens} tokens")
        system += f" {self._some(missing)}"
        return tuple(self._of_length(system, tokens) for _ in range(count))

    def _of_length(self, system: str, tokens: int) -> Asked:
        """The user's words, each a token, come first, so that prompts differ from there on; then what to do with them:
        a model of this size has forgotten what stood a thousand words ago."""
        missing = tokens - len(self._rendered(system, f"The. {_ASK}"))
        if missing < 1:
            raise ValueError(f"no prompt of this kind has only {tokens} tokens")
        user = f"The {self._some(missing)}. {_ASK}"
        made = len(self._rendered(system, user))
        if made != tokens:
            raise ValueError(f"a prompt of {made} instead of {tokens} tokens: this vocabulary joins words")
        return Asked(system=system, user=user, tokens=tokens)

    def _some(self, count: int) -> str:
        return " ".join(self._random.choices(self._words, k=count))

    def _rendered(self, system: str, user: str) -> list[int]:
        asked = Asked(system=system, user=user, tokens=0)
        return self._tokens(self._formatter(messages=messages(asked)).prompt)

    def _tokens(self, text: str) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=True))
