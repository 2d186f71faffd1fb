"""What the KV cache holds, saves, finds again and writes to files. llama.cpp's cache is made up: lists of tokens."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.llama.prefixes import Prefixes, Slot, Space
from tests.natives import FakeNative, text

if TYPE_CHECKING:
    from edge.llama.native import Tokens

PLENTY = 1 << 30
MINE, YOURS, TUNED = Space("mine"), Space("yours"), Space("", "an adapter")
MODEL = "a model, and what else a state depends on"


class Cache:
    """Prefixes on a made-up llama.cpp; `use` does with a prompt what the engine does."""

    def __init__(self, sequences: int = 1, max_bytes: int = PLENTY, *, cuts: bool = True) -> None:
        self.native = FakeNative(sequences, cuts=cuts)
        self.prefixes = Prefixes(self.native, sequences, max_bytes)

    def begin(self, prompt: Tokens, space: Space = Space(), reusable: int | None = None) -> tuple[Slot, int]:
        """How much of the prompt was there; all of it, and an answer, is there now."""
        slot = self.prefixes.take(prompt, space, len(prompt) if reusable is None else reusable)
        cached = slot.length
        held = self.native.cache[slot.sequence]
        assert held == prompt[:cached].tolist(), "it has what it says"
        held.extend([*prompt[cached:].tolist(), -1, -2])
        slot.length = len(held)
        return slot, cached

    def use(self, prompt: Tokens, space: Space = Space(), reusable: int | None = None) -> int:
        slot, cached = self.begin(prompt, space, reusable)
        self.prefixes.give_back(slot)
        return cached


def continued(prompt: Tokens, seed: int) -> Tokens:
    return np.concatenate([prompt, text(40, seed)])


def state_bytes(tokens: int) -> int:
    return 4 * tokens


def test_a_prompt_has_two_tokens_left_to_evaluate() -> None:
    cache = Cache(2)
    assert cache.use(text(100)) == 0
    assert cache.use(text(100)) == 98
    assert cache.use(text(100), reusable=50) == 50
    assert cache.use(text(100), reusable=-1) == 0
    assert [cache.use(text(length, 7)) for length in (1, 1, 2, 2)] == [0, 0, 0, 0]


def test_generated_tokens_are_not_shared() -> None:
    cache = Cache()
    cache.use(text(100))
    longer = np.concatenate([text(100), np.array([-1, -2, -3, -4], np.int32)])
    assert cache.use(longer) == 100


def test_the_longest_beginning_is_found_among_idle_busy_and_saved() -> None:
    cache = Cache(3)
    idle, busy, saved = text(300), continued(text(200), 1), continued(text(100), 2)
    for prompt in (saved, text(70, 11), text(70, 12), text(70, 13)):
        assert cache.use(prompt) == 0
    assert cache.prefixes.saved_bytes >= state_bytes(140)
    slot, _ = cache.begin(busy)
    cache.use(idle)
    for source, shared in ((idle, 300), (busy, 240), (saved, 140)):
        assert cache.use(continued(source, 5)) == shared
    cache.prefixes.give_back(slot)
    assert cache.prefixes.idle == 3


def test_a_few_tokens_are_not_worth_a_copy() -> None:
    cache = Cache(2)
    slot, _ = cache.begin(text(10))
    assert cache.use(continued(text(10), 1)) == 0
    cache.prefixes.give_back(slot)


def test_a_few_tokens_stay_where_they_are() -> None:
    """All prompts of a chat template begin alike."""
    cache = Cache(1)
    assert cache.use(np.concatenate([text(7), text(100, 1)])) == 0
    assert cache.use(np.concatenate([text(7), text(100, 2)])) == 7
    assert cache.use(np.concatenate([text(7), text(100, 3)]), MINE) == 0
    two = Cache(2)
    two.use(np.concatenate([text(7), text(100, 1)]))
    slot, _ = two.begin(np.concatenate([text(9), text(100, 2)]))
    assert two.use(np.concatenate([text(9), text(100, 3)])) == 7, "two more are not worth a copy"
    two.prefixes.give_back(slot)


def test_keys_and_adapters_do_not_share() -> None:
    cache = Cache(2)
    spaces = (Space(), MINE, YOURS, TUNED, Space("mine", "an adapter"))
    assert [cache.use(text(100), space) for space in spaces] == [0] * 5
    assert [cache.use(text(100), space) for space in spaces] == [98] * 5, "each finds its own, saved or not"


def test_another_conversation_does_not_lose_a_prefix() -> None:
    cache = Cache(1)
    for _ in range(3):
        for seed in range(3):
            cache.use(text(100, seed))
    assert [cache.use(continued(text(100, seed), 9)) for seed in range(3)] == [100] * 3


def test_one_state_is_enough_for_prompts_that_begin_alike() -> None:
    cache = Cache(1)
    cache.use(text(100))
    cache.use(text(80, 5))
    cache.use(continued(text(100), 1))
    cache.use(text(80, 6))
    cache.use(text(80, 7))
    assert cache.prefixes.saved_bytes == sum(map(state_bytes, (140, 80, 80)))


def test_saved_states_keep_to_their_bytes_and_the_one_used_last_stays() -> None:
    cache = Cache(1, max_bytes=state_bytes(250))
    cache.use(text(100, 1))
    cache.use(text(100, 2))
    cache.use(text(100, 3))  # 1 and 2 are saved
    assert cache.use(text(100, 1)) == 98  # and 3 in place of 2, which nobody wanted since
    assert cache.prefixes.saved_bytes <= state_bytes(250)
    assert cache.use(text(100, 2)) == 0
    assert cache.use(text(100, 1)) == 98


def test_a_prompt_that_was_used_where_it_is_does_not_count_as_old() -> None:
    cache = Cache(2, max_bytes=state_bytes(250))
    for seed in (1, 2, 3, 1, 4, 1, 5, 6, 7):
        cache.use(text(100, seed))
    assert cache.use(text(100, 1)) == 98, "it was saved before 4 was used, and used after that"


def test_a_state_that_is_too_large_does_not_push_out_the_others() -> None:
    cache = Cache(1, max_bytes=state_bytes(400))
    for length, seed in ((100, 1), (100, 2), (500, 3), (100, 4)):
        cache.use(text(length, seed))
    assert cache.use(text(100, 1)) == 98
    assert cache.use(text(100, 2)) == 98
    assert cache.use(text(500, 3)) == 0


def test_without_memory_nothing_is_saved() -> None:
    cache = Cache(1, max_bytes=0)
    cache.use(text(100, 1))
    assert cache.use(text(100, 1)) == 98
    cache.use(text(100, 2))
    assert cache.prefixes.saved_bytes == 0
    assert cache.use(text(100, 1)) == 0


def test_a_state_that_llama_cpp_refuses_is_evaluated_again() -> None:
    cache = Cache(1)
    cache.use(text(100, 1))
    cache.use(text(100, 2))
    cache.native.restores = False
    assert cache.use(text(100, 1)) == 0


def test_a_cache_that_cannot_be_cut_back_is_never_wrong() -> None:
    cache = Cache(2, cuts=False)
    for prompt in (text(100), continued(text(100), 1), text(100), text(50), text(200)):
        assert cache.use(prompt) == 0
    assert cache.prefixes.idle == 2


def test_states_outlive_the_process(tmp_path: Path) -> None:
    directory = tmp_path / "some" / "prefixes"
    cache = Cache(2)
    prompts = {Space(): text(300, 1), TUNED: text(300, 2), MINE: text(300, 3), Space("mine", "a"): text(300, 4)}
    for space, prompt in prompts.items():
        cache.use(prompt, space)
    cache.use(text(100, 5))  # too short for a file
    cache.prefixes.write(directory, MODEL)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = sorted(directory.iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert all("mine" not in json.loads(file.read_bytes().partition(b"\n")[0]).values() for file in files)
    again = Cache(1)
    again.prefixes.read(directory, MODEL)
    assert {space: again.use(prompt, space) for space, prompt in prompts.items()} == {
        Space(): 298,
        TUNED: 298,
        MINE: 0,
        Space("mine", "a"): 0,
    }
    again.prefixes.write(directory, MODEL)
    assert len(list(directory.iterdir())) == 2
    assert not set(files) & set(directory.iterdir())


def test_what_is_not_for_a_file_takes_no_room_from_what_is(tmp_path: Path) -> None:
    cache = Cache(2, max_bytes=state_bytes(700))
    for seed, space in ((1, Space()), (2, Space()), (3, MINE), (4, YOURS)):
        cache.use(text(300, seed), space)
    cache.prefixes.write(tmp_path, MODEL)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_read_keeps_to_its_bytes_too(tmp_path: Path) -> None:
    cache = Cache(1)
    for seed in range(3):
        cache.use(text(300, seed))
    cache.prefixes.write(tmp_path, MODEL)
    small = Cache(1, max_bytes=state_bytes(700))
    small.prefixes.read(tmp_path, MODEL)
    assert small.prefixes.saved_bytes <= state_bytes(700)
    assert small.use(text(300, 2)) == 298


def test_files_that_are_not_whole_or_not_ours_are_ignored_and_swept_out(tmp_path: Path) -> None:
    cache = Cache(1)
    cache.use(text(300))
    cache.prefixes.write(tmp_path, MODEL)
    (good,) = tmp_path.iterdir()
    whole = good.read_bytes()
    head, _, state = whole.partition(b"\n")
    bad = {
        "truncated": whole[:-1],
        "longer": whole + b"!",
        "no state": head + b"\n",
        "half a head": head[: len(head) // 2],
        "empty": b"",
        "garbage": bytes(range(256)) * 100,
        "no object": b"[]\n" + state,
        "no fields": b"{}\n" + state,
        "words": head.replace(b"[0,", b'["zero",') + b"\n" + state,
        "deep": b"[" * 200_000,
        "huge numbers": head.replace(b"[0,", b"[99999999999,") + b"\n" + state,
        "another model": head.replace(MODEL.encode(), b"another") + b"\n" + state,
    }
    good.unlink()
    for name, data in bad.items():
        (tmp_path / f"{name}.kv").write_bytes(data)
    again = Cache(1)
    again.prefixes.read(tmp_path, MODEL)
    assert again.prefixes.saved_bytes == 0
    assert again.use(text(300)) == 0
    again.prefixes.write(tmp_path, MODEL)
    (only,) = tmp_path.iterdir()
    assert only.stem not in bad


def test_what_is_dropped_is_nowhere_but_where_somebody_is_answered() -> None:
    cache = Cache(3)
    for seed in range(5):
        cache.use(text(100, seed))
    busy, _ = cache.begin(text(100, 9))
    assert cache.prefixes.saved_bytes > 0
    cache.prefixes.drop()
    assert cache.prefixes.saved_bytes == 0
    assert [bool(held) for held in cache.native.cache].count(True) == 1
    assert [cache.prefixes.shared(text(100, seed), Space()) for seed in range(5)] == [0] * 5
    cache.prefixes.give_back(busy)
    assert cache.use(text(100, 9)) == 98
    assert cache.use(text(100, 0)) == 0


def test_a_directory_that_is_not_there_is_empty(tmp_path: Path) -> None:
    cache = Cache(1)
    cache.prefixes.read(tmp_path / "none", MODEL)
    assert cache.prefixes.saved_bytes == 0


def test_a_directory_that_cannot_be_written_is_told_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(1)
    cache.use(text(300))
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        cache.prefixes.write(tmp_path / "file", MODEL)
    assert "File exists" in caplog.text
    caplog.clear()

    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "1.kv").write_bytes(b"")
    monkeypatch.setattr("os.open", full)
    with caplog.at_level(logging.WARNING):
        cache.prefixes.write(tmp_path / "old", MODEL)
    assert "No space left" in caplog.text
    assert [file.name for file in (tmp_path / "old").iterdir()] == ["1.kv"], "what was there stays"
