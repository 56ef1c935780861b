"""The commit rule: up to the first delivered record that is not acknowledged, whatever gaps the offsets have."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from mode import Service
from mode.utils.locks import Event

from streaming.transport.delivery import DeliveryTracking

TP0 = TP("t", 0)


def tracker(delivered: list[int], acked: set[int]) -> Any:
    """Return the tracking part of a consumer after some deliveries and acknowledgements."""
    consumer: Any = object.__new__(DeliveryTracking)  # type: ignore[type-abstract] # only its own part is used
    consumer._delivered = defaultdict(deque, {TP0: deque(delivered)})
    consumer._acked = defaultdict(list, {TP0: sorted(acked)})
    consumer._acked_index = defaultdict(set, {TP0: set(acked)})
    consumer._handed, consumer._let_go, consumer._n_acked = {}, {}, 0
    return consumer


@given(st.sets(st.integers(0, 1_000), min_size=1, max_size=60), st.data())
def test_the_commit_is_the_first_unacknowledged_delivery(offsets: set[int], data: st.DataObject) -> None:
    delivered = sorted(offsets)
    acked = data.draw(st.sets(st.sampled_from(delivered)))
    consumer = tracker(delivered, acked)
    done = delivered[: next((n for n, offset in enumerate(delivered) if offset not in acked), len(delivered))]
    assert consumer._new_offset(TP0) == (done[-1] + 1 if done else None)
    assert consumer._new_offset(TP0) is None
    rest = set(delivered) - acked
    consumer._acked_index[TP0] |= rest
    assert consumer._new_offset(TP0) == (delivered[-1] + 1 if len(done) < len(delivered) else None)
    assert not consumer._acked_index[TP0]


def test_one_or_two_records_in_front_hold_the_commit_alike() -> None:
    for unacked in ({5}, {5, 6}, {7}):
        assert tracker(list(range(10)), set(range(10)) - unacked)._new_offset(TP0) == min(unacked)


async def test_a_topic_full_of_offset_gaps_costs_nothing() -> None:
    delivered = list(range(0, 200_000, 2))
    consumer = tracker(delivered, set(delivered))
    for offset in delivered:
        await consumer._add_gap(TP0, offset + 1, offset + 1)
    assert consumer._new_offset(TP0) == 199_999


@given(st.integers(-1, 1_000), st.lists(st.integers(-1, 1_001), max_size=5))
def test_what_was_let_go_counts_as_far_as_it_was_handed_over(handed: int, gone: list[int]) -> None:
    consumer = tracker([], set())
    if handed >= 0:
        consumer._handed[TP0] = handed
    for offset in gone:
        consumer.let_go(TP0, offset)
    done = min(handed, max(gone, default=-1))
    assert consumer._new_offset(TP0) == (done + 1 if done >= 0 else None)


def delivering(deliver: Callable[[], Awaitable[None]]) -> Any:
    """Return the part of a consumer that drains, around a delivery of the test."""

    class Draining(DeliveryTracking, Service):
        async def _deliver(self, _: Mapping[TP, list[Any]]) -> None:
            await deliver()

    consumer: Any = Draining()  # type: ignore[abstract,call-arg] # as above
    consumer.suspend_flow = Event()
    return consumer


async def test_a_delivery_that_waits_ends_when_the_flow_is_suspended() -> None:
    began, over = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    consumer = delivering(wait)
    draining = asyncio.create_task(consumer._deliver_until_suspended({}))
    await began.wait()
    consumer.suspend_flow.set()
    await draining
    assert over.is_set()


@pytest.mark.parametrize("turns", [0, 3])
async def test_a_delivery_ends_before_the_next_and_its_failure_is_raised(turns: int) -> None:
    delivered: list[int] = []

    async def deliver() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        delivered.append(turns)
        if len(delivered) == 2:
            raise ValueError("broken")

    consumer = delivering(deliver)
    await consumer._deliver_until_suspended({})
    assert delivered == [turns]
    with pytest.raises(ValueError, match="broken"):
        await consumer._deliver_until_suspended({})
