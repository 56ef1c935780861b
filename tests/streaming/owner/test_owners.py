"""Who has which partition: the newest take-over wins, and a broker that is away stops nobody."""

import asyncio

import pytest

from streaming.owner.owners import Owner, Owners
from streaming.transport.client import BrokerError
from streaming.transport.follow import LogFollower
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.poll import until
from trading.codec import encode
from trading.schemas import OWNERS


def test_the_newest_generation_wins_whatever_the_order() -> None:
    owners = Owners(MemoryBroker())
    for generation, url in ((7, "http://new"), (3, "http://old")):
        owners.hear(Owner(partition=1, generation=generation, url=url))
    assert (owners.url_of(1), owners.url_of(0)) == ("http://new", None)


async def test_who_leaves_has_an_heir_unless_all_others_leave_too() -> None:
    broker = MemoryBroker()
    owners = Owners(broker)
    for partition, url in enumerate(("http://me", "http://one", "http://two")):
        assert owners.has_heir("http://me"), "nobody else is known yet"
        owners.hear(Owner(partition=partition, generation=1, url=url))
    await owners.leave("http://me")
    await owners.leave("http://one")
    assert (owners.has_heir("http://me"), owners.url_of(1)) == (True, "http://one")
    await owners.leave("http://two")
    assert not owners.has_heir("http://me")
    assert [record.key for record in broker.records[OWNERS.name, 0]] == [b"0", b"1", b"2"]
    owners.hear(Owner(partition=2, generation=2, url="http://new"))
    assert owners.has_heir("http://me")


async def test_announcements_reach_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.owner.owners.TAKE_S", 0.01)
    broker = MemoryBroker()
    one, two = Owners(broker), Owners(broker)
    await broker.append(OWNERS.name, 0, [(b"0", b"not json")])
    reading = asyncio.create_task(two.keep_reading(LogFollower(broker, OWNERS.name, {0: 0})))
    await one.announce(Owner(partition=2, generation=5, url="http://one"))
    await until(lambda: two.url_of(2) == "http://one")
    reading.cancel()
    assert one.url_of(2) == "http://one"
    assert encode(Owner(partition=2, generation=5, url="u")).startswith(b'{"schema":"owners/1"')


async def test_an_announcement_that_fails_stops_nobody() -> None:
    broker = MemoryBroker()
    broker.fail_next.append(BrokerError("BROKER_UNREACHABLE", "away", retriable=True))
    owners = Owners(broker)
    await owners.announce(Owner(partition=0, generation=1, url="http://me"))
    assert owners.url_of(0) == "http://me"
