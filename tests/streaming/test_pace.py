"""Work beside the orders has its share of the time, and no two partitions begin it together."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.pace import STEPS, breathe, head_start, rest_s


@given(st.floats(0, 1e3), st.floats(0.01, 1))
def test_work_has_its_share_of_the_time(took_s: float, share: float) -> None:
    assert took_s == pytest.approx(share * (took_s + rest_s(took_s, share)), abs=1e-9)


def test_partitions_begin_apart_and_less_than_half_a_period_early() -> None:
    begun = [head_start(partition, step) for partition in range(STEPS) for step in (0.0, 0.5)]
    assert len(set(begun)) == 2 * STEPS
    assert all(0 <= share < 0.5 for share in begun)


def test_a_thread_that_breathes_leaves_the_interpreter_to_others() -> None:
    turns: list[str] = []
    begun = threading.Event()

    def other() -> None:
        begun.wait()
        turns.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    begun.set()
    while not turns:
        breathe()
    thread.join()
    assert turns == ["other"]
