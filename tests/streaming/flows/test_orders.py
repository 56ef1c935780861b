"""The role `orders` on the embedded log: commands of the topic, repetitions, lost writes, restarts, bad input."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from streaming.flow import Revocable
from streaming.flows.orders import CommandLane, order_flow
from streaming.owner.desk import NotOwner, NotReady, WriteLost
from streaming.owner.house import House
from streaming.owner.owners import Owner
from streaming.owner.recovery import fold_journal
from streaming.transport.client import BrokerError, Record
from streaming.transport.log_client import LogClient
from tests.streaming.owner.places import Place, settings_of
from tests.streaming.poll import until
from tests.trading.orders.builders import T0, ack, fill, limits_body, oid, submit
from trading.codec import decode, encode
from trading.commands import CancelAll, Deposit, Kill, OpenAccount, SetLimits
from trading.events import OrderAccepted
from trading.messages import DeadLetter
from trading.orders.journal import read_record, verify
from trading.orders.snapshot import all_rows, state_hash
from trading.schemas import DEADLETTER, ORDERS_COMMANDS, ORDERS_JOURNAL, ORDERS_STATE, OWNERS

ACCOUNT = "a"


class Failing(LogClient):
    """A log client whose appends to some topics fail or hang when told to."""

    fail: BrokerError | None = None
    only = ORDERS_JOURNAL.name

    def queue(
        self, topic: str, partition: int, messages: Sequence[tuple[bytes | None, bytes | None]]
    ) -> tuple[int, "asyncio.Future[None]"]:
        if topic == self.only and self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        return super().queue(topic, partition, messages)


async def fund(place: Place, account: str = ACCOUNT) -> None:
    for command in (
        OpenAccount(account=account, ts_ns=0, actor="admin"),
        Deposit(account=account, ts_ns=0, actor="admin", ref="r", amount="1000000"),
        SetLimits(account=account, ts_ns=0, actor="admin", limits=limits_body()),
    ):
        await place.house.execute(command, "test-1")


def lane_of(place: Place) -> CommandLane:
    return place.lanes[place.house.partition_of(ACCOUNT)]


async def rows(place: Place) -> list[list[tuple[str, bytes]]]:
    return [await place.house.read_partition(p, lambda s: list(all_rows(s))) for p in range(place.house.partitions)]


async def journal(place: Place, number: int) -> list[bytes]:
    end = await place.client.end_offset(ORDERS_JOURNAL.name, number)
    return [r.value or b"" async for r in place.client.read(ORDERS_JOURNAL.name, number, 0, end)]


async def test_commands_of_the_topic_are_let_go_when_their_record_is_durable(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path)) as place:
        await place.own()
        await place.price()
        await fund(place)
        records = await place.send(submit("c1"), ack("c1"), fill("t1", "c1"))
        assert await lane_of(place).process(records) == records[-1].offset + 1
        assert await place.house.read(ACCOUNT, lambda s: s.orders[oid("c1")].status) == "filled"
        written = [read_record(p) for p in await journal(place, place.house.partition_of(ACCOUNT))]
        causes = [f"{ORDERS_COMMANDS.name}:{r.partition}:{r.offset}" for r in records]
        assert [r.cause for r in written[-3:]] == causes


async def test_a_command_that_comes_again_is_skipped_even_when_it_had_no_effect(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path)) as place:
        await place.own()
        await place.price()
        await fund(place)
        nothing_to_cancel = await place.send(CancelAll(account=ACCOUNT, ts_ns=0))
        await lane_of(place).process(nothing_to_cancel)
        await place.house.execute(submit("c1"), "http-1")
        await lane_of(place).process(nothing_to_cancel)
        assert await place.house.read(ACCOUNT, lambda s: s.orders[oid("c1")].status) == "pending_new"
        assert lane_of(place).stats()["repeated"] == 1


async def test_an_unreadable_command_becomes_a_dead_letter(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path)) as place:
        await place.own()
        bad = Record(ORDERS_COMMANDS.name, 0, 7, b"k", b'{"schema":"orders.commands/1","kind":"nonsense"}')
        assert await place.lanes[0].process([bad]) == 8
        assert place.lanes[0].stats()["codes"] == {"BAD_FIELD": 1}
        letters = [r async for r in place.client.read(DEADLETTER.name, 0, 0, 9)]
        letter = decode(letters[0].value or b"", DeadLetter)
        assert (letter.topic, letter.src.offset) == (ORDERS_COMMANDS.name, 7)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("snapshot_records", [3, 100_000])
async def test_a_restart_finds_every_row_as_it_was(tmp_path: Path, snapshot_records: int, *, clean: bool) -> None:
    settings = settings_of(tmp_path, snapshot_records=snapshot_records)
    async with Place(settings) as place:
        await place.own()
        await place.price()
        for account in ("a", "b", "c"):
            await fund(place, account)
        for n in range(10):
            await place.house.execute(submit(f"c{n}"), f"http-{n}")
            for lane in place.lanes:
                await lane.tick()
        await lane_of(place).process(await place.send(ack("c1"), fill("t1", "c1")))
        before = await rows(place)
        if clean:
            await place.close()
    async with Place(settings) as place:
        await place.own()
        assert await rows(place) == before
        folded = sum(lane.stats()["folded"] for lane in place.lanes)
        assert folded == 0 if clean else folded > 0
        for number in range(place.house.partitions):
            verify(await journal(place, number))


async def test_snapshot_and_tail_give_the_hash_of_genesis(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, snapshot_records=4)
    async with Place(settings) as place:
        await place.own()
        await place.price()
        await fund(place)
        for n in range(30):
            await place.house.execute(submit(f"c{n}"), f"http-{n}")
            if n % 3 == 0:
                await lane_of(place).process(await place.send(ack(f"c{n}"), fill(f"t{n}", f"c{n}")))
            await lane_of(place).tick()
        await until(lambda: lane_of(place).stats()["snapshots"] > 2)
    async with Place(settings) as place:
        await place.own()
        number = place.house.partition_of(ACCOUNT)
        assert 0 < lane_of(place).stats()["folded"] < 20
        from_snapshot = await place.house.read_partition(number, state_hash)
        end = await place.client.end_offset(ORDERS_JOURNAL.name, number)
        genesis = await fold_journal(place.client, number, end)
        assert state_hash(genesis.state) == from_snapshot


async def test_a_refused_write_loses_the_partition_and_not_the_process(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    client = Failing(settings.home / "log", "batch")
    async with Place(settings, client) as place:
        await place.own()
        await place.price()
        await fund(place)
        client.fail = BrokerError("LOG_FULL", "no space", retriable=True)
        with pytest.raises(WriteLost):
            await place.house.execute(submit("c1"), "http-1")
        with pytest.raises(NotReady):
            await place.house.execute(submit("c1"), "http-1")
        lane = lane_of(place)
        await until(lambda: lane.stats()["owned"])
        assert (await place.house.execute(submit("c1"), "http-1")).events
        assert lane.stats()["lost"] == 1
        number = place.house.partition_of(ACCOUNT)
        verify(await journal(place, number))


async def test_a_command_of_the_topic_survives_the_loss_of_the_partition(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    client = Failing(settings.home / "log", "batch")
    async with Place(settings, client) as place:
        await place.own()
        await place.price()
        await fund(place)
        records = await place.send(submit("c1"), submit("c2"))
        client.fail = BrokerError("LOG_FULL", "no space", retriable=True)
        assert await lane_of(place).process(records) == records[-1].offset + 1
        assert await place.house.read(ACCOUNT, lambda s: sorted(s.orders)) == sorted([oid("c1"), oid("c2")])


async def test_a_failed_fsync_ends_the_process(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    client = Failing(settings.home / "log", "batch")
    async with Place(settings, client) as place:
        await place.own()
        client.fail = BrokerError("FSYNC_FAILED", "the disk is gone")
        with pytest.raises(WriteLost):
            await place.house.execute(OpenAccount(account=ACCOUNT, ts_ns=0, actor="x"), "http-1")
        with pytest.raises(BrokerError, match="the disk is gone"):
            await lane_of(place).tick()


async def test_a_lost_snapshot_is_made_up_for(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, snapshot_records=1)
    client = Failing(settings.home / "log", "batch")
    client.only = ORDERS_STATE.name
    async with Place(settings, client) as place:
        await place.own()
        await place.price()
        await fund(place)
        client.fail = BrokerError("LOG_FULL", "no space", retriable=True)
        lane = lane_of(place)
        await lane.tick()
        await until(lambda: lane.stats()["take_overs"] == 2)
        assert (await place.house.execute(submit("c1"), "http-1")).events
        await lane.tick()
        await until(lambda: lane.stats()["snapshots"] == 1)


async def test_a_kill_over_several_accounts_counts_as_worked_only_when_all_is_written(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path, partitions=1)) as place:
        await place.own()
        await place.price()
        for account in ("a", "b"):
            await fund(place, account)
            await place.house.execute(submit("c1", account=account), "http-1")
        records = await place.send(Kill(account="", ts_ns=0, actor="me"))
        await place.lanes[0].process(records)
        causes = [read_record(p).cause for p in await journal(place, 0)][-3:]
        assert causes[0] == f"{ORDERS_COMMANDS.name}:0:{records[0].offset}/0"
        assert causes[-1] == f"{ORDERS_COMMANDS.name}:0:{records[0].offset}"


async def test_a_revoked_partition_that_comes_back_was_owned_all_the_time(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path)) as place:
        await place.own()
        await place.price()
        await fund(place)
        lane = lane_of(place)
        assert isinstance(lane, Revocable)
        lane.revoked()
        await place.house.execute(submit("c1"), "http-1")
        again = CommandLane(place.house, place.context, place.house.partition_of(ACCOUNT))
        await again.open()
        await again.process(await place.send(submit("c2")))
        assert await place.house.read(ACCOUNT, lambda s: sorted(s.orders)) == sorted([oid("c1"), oid("c2")])
        assert (again.stats()["take_overs"], again.stats()["lost"]) == (1, 0)


async def test_a_partition_that_another_owner_has_refuses_and_lets_nothing_go(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path, url="http://here")) as place:
        await place.own()
        await place.price()
        await fund(place)
        lane, number = lane_of(place), place.house.partition_of(ACCOUNT)
        lane.revoked()
        owner = Owner(partition=number, generation=9, url="http://there")
        await place.client.append(OWNERS.name, 0, [(b"k", encode(owner))])
        await until(lambda: lane.stats()["owned"] is False)
        with pytest.raises(NotOwner) as refusal:
            await place.house.execute(submit("c1"), "http-1")
        assert refusal.value.url == "http://there"
        assert await lane.process(await place.send(submit("c2"))) is None


async def test_a_partition_that_is_revoked_while_it_is_opened_is_not_kept(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path)) as place:
        lane = CommandLane(place.house, place.context, 0)
        opening = asyncio.create_task(lane.open())
        await asyncio.sleep(0)
        lane.revoked()
        await opening
        with pytest.raises(NotOwner):
            await place.house.read_partition(0, state_hash)


async def test_racing_clients_never_pass_a_limit(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path)) as place:
        await place.own()
        await place.price()
        await fund(place)
        tight = limits_body(max_position_qty="10")
        await place.house.execute(SetLimits(account=ACCOUNT, ts_ns=0, actor="admin", limits=tight), "test-1")
        orders = [place.house.execute(submit(f"c{n}", qty="1"), f"http-{n}") for n in range(64)]
        answers = await asyncio.gather(*orders)
        assert sum(isinstance(answer.events[0], OrderAccepted) for answer in answers) == 10


async def test_the_timer_is_journalled_only_when_something_is_due(tmp_path: Path) -> None:
    async with Place(settings_of(tmp_path)) as place:
        await place.own()
        await place.price()
        await fund(place)
        await place.house.execute(submit("c1"), "http-1")
        number, lane = place.house.partition_of(ACCOUNT), lane_of(place)
        before = len(await journal(place, number))
        place.clock.advance(T0 + 2 * 10**9)
        await lane.tick()
        assert len(await journal(place, number)) == before
        place.clock.advance(T0 + 31 * 10**9)
        await lane.tick()
        assert await place.house.read(ACCOUNT, lambda s: s.orders[oid("c1")].status) == "unknown"


def test_the_flow_shares_one_desk() -> None:
    house = House()
    flow = order_flow(house)
    assert (flow.role, flow.topic, flow.service) == ("orders", ORDERS_COMMANDS.name, house)
