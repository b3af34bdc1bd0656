"""Steps of one object never run at once, none is lost, and nobody waits for another one's step."""

from __future__ import annotations

import threading
from functools import partial

from sightstream.pipeline.serial_executor import SerialExecutor


def test_a_step_that_a_step_brings_runs_after_it() -> None:
    executor, order = SerialExecutor(), list[str]()

    def outer() -> None:
        executor.run(lambda: order.append("inner"))
        order.append("outer")

    executor.run(outer)
    assert order == ["outer", "inner"]


def test_what_comes_while_a_thread_is_alone_runs_on_that_thread_afterwards() -> None:
    executor, ran_on = SerialExecutor(), list[str]()

    def step() -> None:
        ran_on.append(threading.current_thread().name)

    with executor.alone():
        other = threading.Thread(target=executor.run, args=(step,), name="other")
        other.start()
        other.join(20)
        assert not other.is_alive(), "it does not wait"
        assert ran_on == []
    assert ran_on == [threading.current_thread().name]


def test_a_step_that_fails_leaves_the_others_to_the_next_thread() -> None:
    executor, ran = SerialExecutor(), list[int]()

    def fail() -> None:
        executor.run(lambda: ran.append(1))
        raise KeyError

    try:
        executor.run(fail)
    except KeyError:
        ran.append(0)
    executor.run(lambda: ran.append(2))
    assert ran == [0, 1, 2]


def test_on_many_threads_no_two_steps_meet_and_none_is_lost() -> None:
    executor, running, ran = SerialExecutor(), threading.Lock(), list[int]()

    def step(number: int) -> None:
        assert running.acquire(blocking=False), "another step runs"
        ran.append(number)
        running.release()

    def work(first: int) -> None:
        for number in range(first, first + 500):
            if number % 7:
                executor.run(partial(step, number))
            else:
                with executor.alone():
                    step(number)

    threads = [threading.Thread(target=work, args=(first * 500,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(ran) == list(range(3000))
