"""Recovery: what counts in a journal, and what a hole does."""

from functools import partial

import pytest

from streaming.owner import snapshots
from streaming.owner.apply import apply
from streaming.owner.recovery import Recovery, fold_journal, recover
from streaming.transport.client import BrokerError
from streaming.transport.fenced import BARRIER_KEY
from tests.streaming.memory_broker import MemoryBroker
from tests.trading.orders.builders import T0, market, submit
from trading.commands import OpenAccount
from trading.orders.journal import JournalError, append_fence
from trading.orders.snapshot import state_hash
from trading.orders.state import State
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL, ORDERS_STATE


async def journal(broker: MemoryBroker, state: State) -> None:
    """Write a fence and two records."""
    state.generation = await broker.append(ORDERS_JOURNAL.name, 0, [(b"", append_fence(state, "one", T0))])
    for command in (OpenAccount(account="a", ts_ns=0, actor="x"), submit("c1")):
        for account, payload in apply(state, command, "t-1", T0, market()).records:
            await broker.append(ORDERS_JOURNAL.name, 0, [(account.encode(), payload)])


async def test_barriers_and_records_of_older_owners_do_not_count() -> None:
    broker, state, stale = MemoryBroker(), State(), State()
    await broker.append(ORDERS_JOURNAL.name, 0, [(b"barrier", None)])
    await journal(broker, state)
    for number, record in enumerate(broker.records[ORDERS_JOURNAL.name, 0]):
        assert (number == 0) == (record.value is None)
    # A stale owner, at generation 0, that the broker did not refuse.
    stale_rows = apply(stale, OpenAccount(account="z", ts_ns=0, actor="x"), "t-2", T0, market()).records
    await broker.append(ORDERS_JOURNAL.name, 0, [(a.encode(), p) for a, p in stale_rows])
    found = await recover(broker, 0, await broker.end_offset(ORDERS_JOURNAL.name, 0))
    assert (found.folded, found.skipped, found.last_ts_ns) == (3, 1, T0)
    assert state_hash(found.state) == state_hash(state)
    assert found.state.generation == 1


async def test_a_hole_is_not_passed_over() -> None:
    broker = MemoryBroker()
    await journal(broker, State())
    del broker.records[ORDERS_JOURNAL.name, 0][1]
    with pytest.raises(JournalError, match="after 1"):
        await fold_journal(broker, 0, 9)


async def test_a_read_that_ends_early_is_no_recovery() -> None:
    broker = MemoryBroker()
    await journal(broker, State())
    with pytest.raises(BrokerError) as caught:
        await recover(broker, 0, 4)
    assert (caught.value.code, caught.value.retriable) == ("READ_SHORT", True)


async def test_what_is_read_ahead_goes_on_with_what_was_written_meanwhile() -> None:
    broker, state = MemoryBroker(), State()
    await journal(broker, state)
    recovery = Recovery(broker, 0)
    await recovery.read_ahead()
    for account, payload in apply(state, submit("c2"), "t-2", T0 + 5, market()).records:
        await broker.append(ORDERS_JOURNAL.name, 0, [(account.encode(), payload)])
    await broker.append(ORDERS_STATE.name, 0, [(BARRIER_KEY, None)])
    found = await recovery.finish(await broker.end_offset(ORDERS_JOURNAL.name, 0))
    assert (found.folded, found.position, found.last_ts_ns) == (4, 4, T0 + 5)
    assert state_hash(found.state) == state_hash(state)


async def test_a_snapshot_that_came_meanwhile_is_taken_and_one_that_stayed_unfinished_is_made_whole() -> None:
    broker, state = MemoryBroker(), State()
    await journal(broker, state)
    recovery = Recovery(broker, 0)
    await recovery.read_ahead()
    end = await broker.end_offset(ORDERS_JOURNAL.name, 0)
    taken = snapshots.cut(state, end - 1)
    assert await snapshots.write(taken, partial(broker.append, ORDERS_STATE.name, 0)) > 0
    # The watermark was not written any more.
    broker.records[ORDERS_STATE.name, 0].pop()
    found = await recovery.finish(end)
    assert (found.folded, found.position) == (0, end)
    assert [key for key, _ in found.unfinished] == [key for key, _ in taken.rows]
    assert state_hash(found.state) == state_hash(state)


async def test_an_owner_does_not_go_on_where_the_broker_has_lost_what_was_worked() -> None:
    broker, state = MemoryBroker(), State()
    await journal(broker, state)
    end = await broker.end_offset(ORDERS_JOURNAL.name, 0)
    await snapshots.write(snapshots.cut(state, end - 1), partial(broker.append, ORDERS_STATE.name, 0))
    assert (await Recovery(broker, 0).finish_for_owner(end)).position == end
    with pytest.raises(BrokerError, match="worked") as journal_lost:
        await Recovery(broker, 0).finish_for_owner(end - 1)
    state.causes[f"{ORDERS_COMMANDS.name}:0"] = 1
    await snapshots.write(snapshots.cut(state, end - 1), partial(broker.append, ORDERS_STATE.name, 0))
    await broker.append(ORDERS_COMMANDS.name, 0, [(b"a", b"")])
    with pytest.raises(BrokerError, match="ends at 1, but offset 1") as commands_lost:
        await Recovery(broker, 0).finish_for_owner(end)
    assert (journal_lost.value.code, commands_lost.value.code) == ("JOURNAL_BEHIND", "COMMANDS_BEHIND")
    await broker.append(ORDERS_COMMANDS.name, 0, [(b"a", b"")])
    assert (await Recovery(broker, 0).finish_for_owner(end)).position == end
