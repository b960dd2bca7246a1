"""Which worker runs which wave: every wave is run, none is forgotten, and one that always fails is given up."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.runs.executors.schedule import MOST_DEATHS, MOST_ERRORS, Schedule


def test_a_worker_has_one_wave_at_a_time_in_order() -> None:
    schedule = Schedule(range(5))
    assert [schedule.assign(worker, 1, 2) for worker in ("a", "b", "a")] == [[0], [1], []]
    schedule.ended("b", 1)
    assert schedule.assign("b", 1, 2) == [2]
    assert schedule.held_by("a") == (0,)


def test_a_worker_has_several_short_waves_only_while_there_are_enough_for_all() -> None:
    schedule = Schedule(range(100))
    assert schedule.assign("a", 8, 2) == [*range(8)]
    assert schedule.assign("a", 8, 2) == []
    few = Schedule(range(6))
    assert few.assign("a", 8, 2) == [0]


def test_waves_of_a_lost_worker_run_next_and_in_order() -> None:
    schedule = Schedule(range(100))
    schedule.assign("a", 3, 2)
    assert schedule.died("a", "killed") is None
    assert schedule.held_by("a") == ()
    assert schedule.assign("b", 4, 2) == [0, 1, 2, 3]
    assert schedule.retries == 1


def test_a_wave_that_always_raises_is_given_up_with_its_last_error() -> None:
    schedule = Schedule([7, 8])
    for number in range(MOST_ERRORS):
        assert not schedule.is_done()
        assert schedule.assign("a", 1, 1) == [7]
        failure = schedule.failed("a", 7, f"error {number}")
    assert failure is not None
    assert (failure.wave, failure.error, failure.tries) == (7, f"error {MOST_ERRORS - 1}", MOST_ERRORS)
    assert schedule.assign("a", 1, 1) == [8]
    schedule.ended("a", 8)
    assert schedule.is_done()


def test_one_broken_worker_does_not_fail_the_waves_that_others_can_run() -> None:
    schedule = Schedule(range(6))
    while broken := schedule.assign("broken", 1, 2):
        assert schedule.failed("broken", broken[0], "broken") is None
    done = []
    while not schedule.is_done():
        (wave,) = schedule.assign("sound", 1, 2)
        schedule.ended("sound", wave)
        done.append(wave)
    assert sorted(done) == [*range(6)]
    assert schedule.failures() == []


def test_a_wave_that_fails_everywhere_is_given_up_by_whoever_is_free() -> None:
    schedule = Schedule([0])
    for worker in ("a", "b"):
        assert schedule.assign(worker, 1, 2) == [0]
        assert schedule.failed(worker, 0, "always") is None
    assert schedule.assign("a", 1, 2) == [0]
    assert schedule.failed("a", 0, "always") is not None


def test_a_wave_that_always_ends_its_worker_is_given_up_unless_it_gets_further() -> None:
    schedule = Schedule([7])
    for number in range(3 * MOST_DEATHS):  # each gets further than the one before
        schedule.assign(number, 1, 1)
        schedule.advanced(7, 100 * number + 100)
        assert schedule.died(number, "killed") is None
    found = []
    while not schedule.is_done():
        schedule.assign("b", 1, 1)
        schedule.advanced(7, 50)
        found.append(schedule.died("b", "killed"))
    assert [failure is None for failure in found] == [True] * (MOST_DEATHS - 2) + [False]


def test_a_machine_that_leaves_is_not_the_fault_of_a_wave() -> None:
    schedule = Schedule([7])
    for number in range(10 * MOST_DEATHS):
        assert schedule.assign(number, 1, 1) == [7]
        schedule.gone(number)
    assert not schedule.is_done()
    assert schedule.retries == 10 * MOST_DEATHS


def test_losing_an_idle_worker_costs_nothing() -> None:
    schedule = Schedule([0])
    assert schedule.died("a", "killed") is None
    schedule.gone("a")
    assert schedule.assign("b", 1, 1) == [0]
    assert schedule.retries == 0


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_whatever_happens_each_wave_ends_once_or_is_given_up(waves: int, workers: int, seed: int) -> None:
    chance, schedule = random.Random(seed), Schedule(range(waves))
    ended, given_up = Counter[int](), set()
    for _ in range(100_000):
        if schedule.is_done():
            break
        worker = chance.randrange(workers)
        held = schedule.held_by(worker) or schedule.assign(worker, chance.randint(1, 5), workers)
        if not held:
            continue
        kind = chance.random()
        if kind < 0.6:
            schedule.ended(worker, held[0])
            ended[held[0]] += 1
        elif kind < 0.7:
            schedule.gone(worker)
        elif failure := (schedule.failed(worker, held[0], "e") if kind < 0.85 else schedule.died(worker, "d")):
            given_up.add(failure.wave)
    assert schedule.is_done()
    assert {*ended} | given_up == {*range(waves)}
    assert not {*ended} & given_up
    assert set(ended.values()) <= {1}


@pytest.mark.parametrize("ahead", [1, 4])
def test_at_the_end_no_worker_waits_while_another_has_several(ahead: int) -> None:
    schedule = Schedule(range(20))
    while not schedule.is_done():
        for worker in range(3):
            schedule.assign(worker, ahead, 3)
        held = [schedule.held_by(worker) for worker in range(3)]
        assert not (any(len(own) > 1 for own in held) and any(not own for own in held))
        for worker, own in enumerate(held):
            if own:
                schedule.ended(worker, own[0])
