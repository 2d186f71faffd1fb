"""The engine that needs no model: it gives recorded answers, at the pace at which they were recorded or at once."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.engine import EngineInfo, Load, check_capable, lacks
from edgewise.errors import InvalidInput, NotFound, NotReady
from edgewise.keys import question_hash
from edgewise.types import Chunk, Completion, CostBasis, Options, Prompt, Scores, Timings, Tokens

Amount = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Logprob = Annotated[float, Field(le=0.0, allow_inf_nan=False)]

# Scripts written without spaces count a word a character.
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_PIECE = re.compile(rf"\s*(?:[{_CJK}]|[^\s{_CJK}]+|$)")


class Recording(BaseModel):
    """One line of the file; fields that are not named here may stand in it and are not used."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    id: str = ""
    prompt: str = ""
    answer: str
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    latency_s: Amount | None = None
    cost_usd: Amount | None = None
    logprobs: tuple[Logprob, ...] = ()


class ReplayEngine:
    """Looks an answer up by the question's id, then by its hash, then by the hash of the last user message.

    `latency_scale` 0 answers at once, 1 takes the recorded time. Token counts that were not recorded are the words of
    the texts; a cost that was not recorded stays unknown. What a recording says about cost is SIMULATED.
    """

    def __init__(self, recordings: Iterable[Recording], info: EngineInfo, latency_scale: float = 0.0) -> None:
        """InvalidInput for a recording that cannot be found, or for two that answer to one key."""
        if not 0.0 <= latency_scale <= 1.0:
            raise InvalidInput(f"latency_scale is {latency_scale}; it lies between 0 (at once) and 1 (as recorded)")
        self._info = info
        self._scale = latency_scale
        self._by_id: dict[str, Recording] = {}
        self._by_hash: dict[str, Recording] = {}
        for recording in recordings:
            self._add(recording)

    @classmethod
    async def open(cls, path: Path, *, latency_scale: float = 0.0, model: str = "", label: str = "") -> ReplayEngine:
        """Read a JSONL file. NotReady if it cannot be read; InvalidInput names the first bad line and its fault."""
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise NotReady(f"the recordings {path} cannot be read: {error.strerror}; check the setting") from None
        info = EngineInfo(
            model=model or path.stem,
            model_hash=hashlib.sha256(data).hexdigest(),
            label=label or f"recorded answers of {path.name}",
        )
        engine = cls((), info, latency_scale)
        for number, line in enumerate(data.splitlines(), start=1):
            try:
                if line.strip():
                    engine._add(Recording.model_validate_json(line))
            except ValidationError as error:
                fault = error.errors()[0]
                where = "".join(f"{part}: " for part in fault["loc"])
                raise InvalidInput(f"{path}, line {number}: {where}{fault['msg']}") from None
            except InvalidInput as error:
                raise InvalidInput(f"{path}, line {number}: {error.message}") from None
        return engine

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def load(self) -> Load:
        return Load()

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        """NotFound names the keys under which nothing is recorded. Sampling has no say in what was recorded."""
        check_capable(self._info, options)
        recording = self._find(prompt, options)
        pieces = [piece for piece in _PIECE.findall(recording.answer) if piece]
        pause_s = (recording.latency_s or 0.0) * self._scale / max(len(pieces), 1)
        for index, piece in enumerate(pieces):
            await asyncio.sleep(pause_s)
            yield Chunk(text=piece, logprobs=_share(recording.logprobs, index, len(pieces)))
        prompt_tokens, completion_tokens = recording.prompt_tokens, recording.completion_tokens
        if prompt_tokens is None:
            prompt_tokens = sum(count_words(message.content.value) for message in prompt.messages)
        if completion_tokens is None:
            completion_tokens = len(recording.logprobs) or count_words(recording.answer)
        yield Completion(
            finish_reason="stop",
            tokens=Tokens(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens),
            timings=Timings(decode_s=recording.latency_s),
            model=self._info.model,
            model_hash=self._info.model_hash,
            cost_usd=recording.cost_usd,
            cost_basis=CostBasis.SIMULATED,
        )

    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        """Always NotReady: a recording has no probabilities of other texts."""
        raise lacks(self._info, "score")

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Always NotReady: a recording has no tokenizer."""
        raise lacks(self._info, "tokenize")

    async def forget(self) -> None:
        """A recording keeps nothing."""

    async def load_adapter(self, name: str) -> str:
        """Always NotReady: a recording has no weights to adapt."""
        raise lacks(self._info, "adapters")

    async def close(self) -> None:
        return

    def _add(self, recording: Recording) -> None:
        if not recording.id and not recording.prompt.strip():
            raise InvalidInput("it has neither an id nor a prompt, so it can never be found; add one")
        if recording.id:
            if recording.id in self._by_id:
                raise InvalidInput(f"the id {recording.id[:100]!r} is there already; keep one of the two")
            self._by_id[recording.id] = recording
        if recording.prompt.strip():
            key = question_hash(recording.prompt)
            if key in self._by_hash:
                raise InvalidInput(f"the prompt {recording.prompt[:100]!r} is there already; keep one of the two")
            self._by_hash[key] = recording

    def _find(self, prompt: Prompt, options: Options) -> Recording:
        asked = next((message.content.value for message in reversed(prompt.messages) if message.role == "user"), "")
        hashes = tuple(dict.fromkeys(key for key in (options.question_hash, question_hash(asked)) if key))
        found = self._by_id.get(options.question_id)
        for key in hashes:
            found = found or self._by_hash.get(key)
        if found is None:
            keys = [f"id {options.question_id[:100]!r}"] if options.question_id else []
            keys += [f"question hash {key}" for key in hashes]
            raise NotFound(f"no answer is recorded under {' or '.join(keys)}; record one, or ask what was recorded")
        return found


def count_words(text: str) -> int:
    """Words between spaces; each Chinese, Japanese or Korean character counts as one."""
    return len(_WORD.findall(text))


def _share(logprobs: tuple[float, ...], index: int, count: int) -> tuple[float, ...]:
    """The part of the log-probabilities that goes with piece `index` of `count`; the parts make up the whole."""
    return logprobs[len(logprobs) * index // count : len(logprobs) * (index + 1) // count]
