"""The real desk: where an owner is, renewal of the fence on Kafka, and what stops with it."""

import asyncio
from pathlib import Path

import pytest

from streaming.owner import house as module
from streaming.owner.desk import NotOwner, NotReady
from streaming.owner.owners import Owner
from streaming.owner.recovery import fold_journal
from tests.streaming.owner.desk_driver import accepted
from tests.streaming.owner.places import Place, settings_of
from tests.streaming.poll import until
from tests.trading.orders.builders import T0, limits_body, submit
from trading.codec import encode
from trading.commands import Deposit, OpenAccount, SetLimits
from trading.orders.snapshot import state_hash
from trading.schemas import ORDERS_JOURNAL, OWNERS

ACCOUNT = "a"


async def fund(place: Place) -> None:
    await place.house.execute(OpenAccount(account=ACCOUNT, ts_ns=0, actor="x"), "t-1")
    await place.house.execute(Deposit(account=ACCOUNT, ts_ns=0, actor="x", ref="r", amount="1000000"), "t-2")
    await place.house.execute(SetLimits(account=ACCOUNT, ts_ns=0, actor="x", limits=limits_body()), "t-3")


async def test_a_caller_is_sent_to_the_owner(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path, url="http://here")) as place:
        number = place.house.partition_of(ACCOUNT)
        with pytest.raises(NotOwner) as unknown:
            await place.house.execute(submit(), "t-1")
        assert unknown.value.url is None
        owner = Owner(partition=number, generation=9, url="http://there")
        await place.client.append(OWNERS.name, 0, [(b"k", encode(owner))])
        await until(lambda: place.house._owners is not None and place.house._owners.url_of(number) is not None)
        with pytest.raises(NotOwner) as known:
            await place.house.read(ACCOUNT, state_hash)
        assert (known.value.url, known.value.partition) == ("http://there", number)


async def test_the_end_closes_subscriptions_and_counts(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path)) as place:
        await place.own()
        await place.price()
        subscription = place.house.subscribe()
        stats = place.house.stats()
        assert (stats["ready"], stats["prices"], stats["subscriptions"]) == (True, 1, 1)
        await place.close()
    with pytest.raises(NotReady):
        await anext(subscription)


async def test_who_follows_a_partition_that_is_lost_is_told_so(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path)) as place:
        await place.own()
        await place.price()
        number = place.house.partition_of(ACCOUNT)
        mine, other = (place.house.subscribe(partition=n) for n in (number, (number + 1) % 4))
        await fund(place)
        await place.lanes[number].close()
        assert [(await anext(mine)).record.account for _ in range(3)] == [ACCOUNT] * 3
        with pytest.raises(NotReady, match="read the state again"):
            await anext(mine)
        assert place.house.stats()["subscriptions"] == 1
        await place.lanes[(number + 1) % 4].close()
        with pytest.raises(NotReady):
            await anext(other)


@pytest.mark.kafka
async def test_who_stops_answers_until_its_successor_does(tmp_path: Path, broker: str) -> None:
    one = Place(settings_of(tmp_path / "one", broker, url="http://one"))
    two = Place(settings_of(tmp_path / "two", broker, url="http://two"))
    async with two:
        async with one:
            number = one.house.partition_of(ACCOUNT)
            await one.own([number, (number + 1) % 4])
            await one.price()
            await fund(one)
            for lane in one.lanes:
                await lane.close()
            await one.house.execute(submit("c1"), "t-4")
            assert await one.house.read(ACCOUNT, lambda s: len(s.orders)) == 1
            stopping = asyncio.create_task(one.house.stop())
            await one.house.execute(submit("c2"), "t-5")
            await two.own([number, (number + 1) % 4])
            assert two.lanes[0].stats()["folded"] == 2
            await stopping
            with pytest.raises(NotOwner) as refusal:
                await one.house.execute(submit("c3"), "t-6")
            assert refusal.value.url == "http://two"
        await two.price()
        assert await two.house.read(ACCOUNT, lambda s: len(s.orders)) == 2
        await two.house.execute(submit("c3"), "t-7")
        counts, _ = await accepted(two.client, 4)
        assert counts == {"c1": 1, "c2": 1, "c3": 1}


@pytest.mark.kafka
async def test_two_that_stop_together_do_not_wait_for_each_other(
    tmp_path: Path, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HAND_OVER_S", 600.0)
    one, two = (Place(settings_of(tmp_path / name, broker, url=f"http://{name}")) for name in ("one", "two"))
    async with one, two:
        await one.own([0, 1])
        await two.own([2, 3])
        await until(lambda: one.house._known.url_of(2) == "http://two" and two.house._known.url_of(0) == "http://one")
        await one.close()
        stopping = asyncio.create_task(one.house.stop())
        await until(lambda: not two.house._known.has_heir("http://two"))
        assert not stopping.done(), "the other one may take over"
        await two.close()
        await asyncio.gather(stopping, two.house.stop())


@pytest.mark.kafka
async def test_a_stale_owner_reads_nothing_that_its_successor_may_have_changed(tmp_path: Path, broker: str) -> None:
    one, two = (Place(settings_of(tmp_path / name, broker, url=f"http://{name}")) for name in ("one", "two"))
    async with two, one:
        number = one.house.partition_of(ACCOUNT)
        await one.own([number])
        await one.price()
        await fund(one)
        for task in one.house._tasks:
            task.cancel()
        one.lanes[0].revoked()
        await two.own([number])
        await two.price(T0 + 1)
        await two.house.execute(submit("c1"), "t-4")
        # It has not heard of that, and writes nothing.
        with pytest.raises(NotReady, match="another owner"):
            await one.house.read(ACCOUNT, state_hash)


@pytest.mark.kafka
async def test_the_fence_is_renewed_under_load_without_a_refusal(
    tmp_path: Path, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_S", 0.1)
    async with Place(settings_of(tmp_path, broker, snapshot_records=40)) as place:
        number = place.house.partition_of(ACCOUNT)
        await place.own([number])
        await place.price()
        await fund(place)
        first = await place.house.read_partition(number, lambda state: state.generation)
        sent = 0
        while await place.house.read_partition(number, lambda s: s.generation) == first or sent < 200:
            await asyncio.gather(*(place.house.execute(submit(f"c{sent + n}"), "t-4") for n in range(5)))
            sent += 5
            await place.lanes[0].tick()
        page = place.lanes[0].stats()
        assert (page["lost"], page["take_overs"]) == (0, 1)
        assert page["snapshots"] > 0
        await place.close()
    async with Place(settings_of(tmp_path, broker)) as place:
        counts, _ = await accepted(place.client, 4)
        assert len(counts) == sum(counts.values()) == sent
        await place.own([number])
        end = await place.client.end_offset(ORDERS_JOURNAL.name, number)
        genesis = await fold_journal(place.client, number, end)
        assert await place.house.read_partition(number, state_hash) == state_hash(genesis.state)
