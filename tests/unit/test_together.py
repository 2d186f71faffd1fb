"""What several callers want is done together, and each hears how its own part went."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from router.log.together import Together


def test_what_is_wanted_meanwhile_is_the_next_piece_and_each_hears_of_its_own() -> None:
    pieces: list[list[int]] = []
    go = threading.Event()

    def work(wanted: Sequence[int]) -> Sequence[Exception | None]:
        go.wait(10)
        pieces.append(list(wanted))
        return [ValueError(str(one)) if one == 3 else None for one in wanted]

    async def main() -> list[BaseException | None]:
        with ThreadPoolExecutor(1) as thread:
            together = Together(thread, work)
            asked = [together.do(number) for number in range(5)]
            go.set()
            return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(main())
    assert pieces == [[0], [1, 2, 3, 4]]
    assert [str(one) if one else None for one in found] == [None, None, None, "3", None]


def test_only_what_had_company_waits_for_company() -> None:
    pieces: list[list[int]] = []

    def work(wanted: Sequence[int]) -> Sequence[Exception | None]:
        pieces.append(list(wanted))
        return [None] * len(wanted)

    async def main() -> None:
        with ThreadPoolExecutor(1) as thread:
            together = Together(thread, work)
            for numbers in ((0, 1, 2), (3, 4), (5,), (6, 7)):
                await asyncio.gather(*map(together.do, numbers))

    asyncio.run(main())
    # 0 began alone; 3 waited for 4, and 5 for nobody that came; so 6 did not wait.
    assert pieces == [[0], [1, 2], [3, 4], [5], [6], [7]]


def test_nobody_waits_for_a_thread_that_has_ended() -> None:
    async def main() -> None:
        thread = ThreadPoolExecutor(1)
        together: Together[int] = Together(thread, lambda wanted: [None] * len(wanted))
        await together.do(1)
        thread.shutdown()
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await asyncio.wait_for(together.do(2), 10)

    asyncio.run(main())
