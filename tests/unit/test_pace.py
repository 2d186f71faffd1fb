"""How many threads an evaluation gets, on machines that the tests make up."""

import itertools
from collections.abc import Callable

from edge.llama.machine.pace import Pace

QUIET = {1: 0.010, 2: 0.006, 4: 0.004}
BUSY = {1: 0.012, 2: 0.080, 4: 0.090}


class Machine:
    """Runs evaluations of one token, each as long as `seconds` says for its number of threads."""

    def __init__(self, team: int) -> None:
        self.now = 0.0
        self.pace = Pace(team, lambda: self.now)

    def run(self, for_s: float, seconds: Callable[[int], float], got: float = 1.0) -> list[tuple[float, int]]:
        """When each evaluation began, and its threads, which got such a share of their cores."""
        end = self.now + for_s
        evaluations = []
        while self.now < end:
            threads = self.pace.threads(1)
            evaluations.append((self.now, threads))
            took = seconds(threads)
            self.now += took
            self.pace.took(threads, 1, took, got * threads * took)
        return evaluations


def share(evaluations: list[tuple[float, int]], threads: int) -> float:
    return sum(used == threads for _, used in evaluations) / len(evaluations)


def test_a_quiet_machine_keeps_the_team() -> None:
    for team in (2, 4):
        machine = Machine(team)
        evaluations = machine.run(100, QUIET.__getitem__)
        assert evaluations[0][1] == team
        assert share(evaluations, team) == 1


def test_one_thread_is_tried_ever_less_often_where_it_is_no_faster() -> None:
    trials = [at for at, threads in Machine(2).run(200, QUIET.__getitem__, got=0.7) if threads == 1]
    # Two evaluations a trial; the pauses between trials double up to half a minute.
    starts = trials[::2]
    pauses = [later - sooner for sooner, later in itertools.pairwise(starts)]
    assert all(later > 0.99 * sooner for sooner, later in itertools.pairwise(pauses))
    assert pauses[-1] > 4 * pauses[0]
    assert 25 < pauses[-1] < 35
    assert len(trials) == 2 * len(starts)


def test_a_machine_that_is_busy_from_the_start_is_found_out() -> None:
    assert share(Machine(2).run(20, BUSY.__getitem__, got=0.7), 1) > 0.95


def test_a_team_that_gets_slow_is_left_at_once_and_taken_back_later() -> None:
    machine = Machine(2)
    machine.run(100, QUIET.__getitem__)
    busy = machine.run(60, BUSY.__getitem__, got=0.7)
    assert share(busy[:8], 2) > 0, "it does not know before it has seen"
    assert share(busy[8:40], 1) == 1, "a few evaluations are enough"
    assert share(busy, 1) > 0.98
    again = machine.run(100, QUIET.__getitem__)
    assert share(again[len(again) // 2 :], 2) > 0.99


def test_a_single_slow_evaluation_is_soon_forgotten() -> None:
    machine = Machine(2)
    machine.run(10, QUIET.__getitem__)
    machine.run(0.1, lambda _: 0.2)
    machine.run(3, QUIET.__getitem__)
    assert share(machine.run(20, QUIET.__getitem__), 2) > 0.99


def test_one_core_never_tries() -> None:
    assert {threads for _, threads in Machine(1).run(100, QUIET.__getitem__)} == {1}
    assert {threads for _, threads in Machine(1).run(100, BUSY.__getitem__)} == {1}
