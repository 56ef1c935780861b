"""A control for all partitions reaches those of other processes, and those that nobody owns yet."""

import asyncio
from pathlib import Path

import pytest

from streaming.owner import elsewhere
from streaming.owner.desk import NotReady
from streaming.transport.client import BrokerError, Record
from streaming.transport.follow import follow
from tests.streaming.owner.places import Place, settings_of
from tests.trading.orders.builders import limits_body, submit
from trading.commands import Deposit, Kill, OpenAccount, SetLimits
from trading.events import KillChanged, OrderMoved
from trading.orders.state import State
from trading.schemas import ORDERS_COMMANDS

HERE, THERE = 0, 1
KILL = Kill(account="", ts_ns=0, actor="me", reason="drill")


def killed(state: State) -> bool:
    return state.controls.killed


async def given(place: Place) -> list[Record]:
    """Return the commands in the topic of the other process, once there is one."""
    follower = follow(place.settings.broker_url, place.client, ORDERS_COMMANDS.name, place.house.partitions)
    while not (found := await follower.take(1.0)):
        pass
    await follower.stop()
    return found


async def check_the_owner_is_told(place: Place, other: Place) -> None:
    await other.own([THERE])
    await place.own([HERE])
    await other.price()
    account = next(name for name in map(str, range(99)) if place.house.partition_of(name) == THERE)
    for command in (
        OpenAccount(account=account, ts_ns=0, actor="x"),
        Deposit(account=account, ts_ns=0, actor="x", ref="r", amount="1000000"),
        SetLimits(account=account, ts_ns=0, actor="x", limits=limits_body()),
        submit("c1", account=account),
    ):
        await other.house.execute(command, "t-1")
    asked = asyncio.create_task(place.house.execute_everywhere(KILL, "http:1"))
    records = await given(place)
    assert await place.house.read_partition(HERE, killed), "the partitions of this process do not wait for others"
    assert not asked.done()
    await other.lanes[0].process(records)
    answers = await asked
    assert [type(event) for event in answers[THERE].events] == [KillChanged, OrderMoved]
    assert await other.house.read_partition(THERE, killed)


async def test_the_owner_in_another_process_is_told_and_its_answer_waited_for(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path, partitions=2)) as place:
        # The embedded log is of one process: the two desks share its client.
        other = Place(place.settings, place.client)
        await other.house.start(other.context)
        await check_the_owner_is_told(place, other)
        await other.house.stop()


@pytest.mark.kafka
async def test_the_owner_in_another_process_is_told_on_kafka(tmp_path: Path, broker: str) -> None:
    async with (
        Place(settings_of(tmp_path / "one", broker, partitions=2)) as place,
        Place(settings_of(tmp_path / "two", broker, partitions=2)) as other,
    ):
        await check_the_owner_is_told(place, other)


async def test_what_nobody_owns_refuses_the_answer_but_takes_the_control_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "WAIT_S", 0.05)
    async with Place(settings_of(tmp_path, partitions=2)) as place:
        await place.own([HERE])
        with pytest.raises(NotReady, match="partition 1 is elsewhere"):
            await place.house.execute_everywhere(KILL, "http:1")
        assert await place.house.read_partition(HERE, killed)
        await place.own([THERE])
        await place.lanes[0].process(await given(place))
        assert await place.house.read_partition(THERE, killed)


async def test_a_broker_that_does_not_take_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Place(settings_of(tmp_path, partitions=2)) as place:

        async def refuse(*_: object) -> int:
            raise BrokerError("UNAVAILABLE", "the broker is away")

        monkeypatch.setattr(place.client, "append", refuse)
        with pytest.raises(NotReady, match="the broker is away"):
            await elsewhere.send(place.client, THERE, KILL)
