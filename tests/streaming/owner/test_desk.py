"""The parts of the contract that are code: subscriptions, errors, the partition of an account."""

import pytest

from streaming.owner.desk import Durable, NotOwner, NotReady, SlowReaderError, Subscription, WriteLost, partition_of
from tests.trading.orders.builders import T0
from trading.market.shards import shard_of
from trading.orders.journal import append_fence, read_record
from trading.orders.state import State


def row(offset: int) -> Durable:
    return Durable(0, offset, read_record(append_fence(State(), "x", T0)))


async def test_rows_come_in_order_and_the_end_comes_after_them() -> None:
    gone: list[Subscription] = []
    subscription = Subscription(10, gone.append)
    for offset in range(3):
        subscription.give(row(offset))
    subscription.close()
    subscription.close()
    subscription.give(row(9))
    assert [found.offset async for found in subscription] == [0, 1, 2]
    assert gone == [subscription]
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)


async def test_a_reader_that_is_too_slow_gets_what_was_queued_and_then_the_reason() -> None:
    subscription = Subscription(2, lambda _: None)
    for offset in range(5):
        subscription.give(row(offset))
    assert [(await anext(subscription)).offset for _ in range(2)] == [0, 1]
    for _ in range(2):
        with pytest.raises(SlowReaderError):
            await anext(subscription)


def test_errors_have_stable_codes_and_say_where() -> None:
    codes = [(kind(3, "text").code, kind(3, "text").partition) for kind in (NotOwner, NotReady, WriteLost)]
    assert codes == [("NOT_OWNER", 3), ("NOT_READY", 3), ("WRITE_LOST", 3)]
    assert NotOwner(1, "text", "http://there").url == "http://there"


def test_the_partition_is_kafkas() -> None:
    assert partition_of("a", 4) == shard_of("a", 4)
    assert {partition_of(f"account-{n}", 4) for n in range(50)} == {0, 1, 2, 3}
