"""What every desk promises, the fake and the owner of real partitions alike."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from streaming.owner.desk import Desk, NotReady, SlowReaderError
from tests.desk_fake import FakeDesk
from tests.streaming.owner.places import Place, settings_of
from tests.trading.orders.builders import T0, limits_body, market, oid, submit
from trading.commands import Deposit, Kill, OpenAccount, SetLimits
from trading.events import OrderAccepted, OrderRefused
from trading.orders.state import State


@pytest.fixture(params=["fake", "log"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    """Return a desk whose market has fresh prices."""
    if request.param == "fake":
        yield FakeDesk(market(), ts_ns=T0)
        return
    async with Place(settings_of(tmp_path)) as place:
        await place.own()
        await place.price()
        yield place.house


async def fund(desk: Desk, *accounts: str) -> None:
    for account in accounts:
        await desk.execute(OpenAccount(account=account, ts_ns=0, actor="admin"), "t:1")
        await desk.execute(Deposit(account=account, ts_ns=0, actor="admin", ref="r", amount="1000000"), "t:2")
        await desk.execute(SetLimits(account=account, ts_ns=0, actor="admin", limits=limits_body()), "t:3")


def seq_of(account: str) -> Callable[[State], int]:
    return lambda state: state.accounts[account].seq


async def test_an_order_is_answered_with_its_events_at_the_time_of_the_desk(desk: Desk) -> None:
    await fund(desk, "a")
    answer = await desk.execute(submit("c1", ts_ns=0), "http:1")
    assert isinstance(answer.events[0], OrderAccepted)
    assert answer.ts_ns == answer.events[0].ts_ns > 0
    assert answer.account_seq == 4
    assert await desk.read("a", seq_of("a")) == 4
    assert await desk.read("a", lambda state: state.orders[oid("c1")].status) == "pending_new"


async def test_a_repetition_has_no_events_and_no_new_seq(desk: Desk) -> None:
    await fund(desk, "a")
    first = await desk.execute(submit("c1"), "http:1")
    again = await desk.execute(submit("c1"), "http:2")
    assert (again.events, again.seq) == ((), first.seq)
    reused = await desk.execute(submit("c1", qty="11"), "http:3")
    assert isinstance(reused.events[0], OrderRefused)
    assert reused.events[0].code == "ID_REUSED"


async def test_accounts_have_their_partition_whatever_was_done(desk: Desk) -> None:
    places = {account: desk.partition_of(account) for account in ("a", "b", "c", "paper-1")}
    assert all(0 <= place < desk.partitions for place in places.values())
    assert desk.partition_of("a") == places["a"]


async def test_a_global_control_reaches_every_partition(desk: Desk) -> None:
    await fund(desk, "a")
    await desk.execute(submit("c1"), "http:1")
    answers = await desk.execute_everywhere(Kill(account="", ts_ns=0, actor="me"), "http:2")
    assert len(answers) == desk.partitions
    killed = [await desk.read_partition(p, lambda state: state.controls.killed) for p in range(desk.partitions)]
    assert all(killed)
    assert await desk.read("a", lambda state: state.orders[oid("c1")].status) == "pending_cancel"
    refused = (await desk.execute(submit("c2"), "http:3")).events[0]
    assert isinstance(refused, OrderRefused)


async def test_a_subscriber_gets_durable_records_in_order(desk: Desk) -> None:
    await fund(desk, "a")
    subscription = desk.subscribe()
    answers = [await desk.execute(submit(f"c{n}"), f"http:{n}") for n in range(3)]
    rows = [await anext(subscription) for _ in answers]
    assert [row.record.seq for row in rows] == [answer.seq for answer in answers]
    assert {row.partition for row in rows} == {desk.partition_of("a")}
    assert [row.offset for row in rows] == list(range(rows[0].offset, rows[0].offset + 3))
    assert rows[0].record.events == answers[0].events
    subscription.close()
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)


async def test_a_subscriber_of_one_partition_hears_only_that(desk: Desk) -> None:
    names = ["a", next(name for name in "bcdefgh" if desk.partition_of(name) != desk.partition_of("a"))]
    subscription = desk.subscribe(partition=desk.partition_of("a"))
    for name in reversed(names):
        await desk.execute(OpenAccount(account=name, ts_ns=0, actor="x"), "t:1")
    assert (await anext(subscription)).record.account == "a"
    subscription.lose(desk.partition_of(names[1]))
    subscription.lose(desk.partition_of("a"))
    with pytest.raises(NotReady):
        await anext(subscription)


async def test_a_slow_subscriber_is_closed_and_told_so(desk: Desk) -> None:
    await fund(desk, "a")
    subscription = desk.subscribe(queue_rows=2)
    for n in range(4):
        await desk.execute(submit(f"c{n}"), f"http:{n}")
    seen = [await anext(subscription), await anext(subscription)]
    assert len(seen) == 2
    with pytest.raises(SlowReaderError):
        await anext(subscription)
