"""Which records count, and a fold that goes on apart from its copy."""

from streaming.owner import snapshots
from streaming.owner.apply import apply
from streaming.owner.journal_fold import JournalFold, JournalReader, newest_fold
from streaming.transport.client import Record as Message
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.order_ring import opening
from tests.trading.orders.builders import T0, ack, fill, market, submit
from trading.orders.journal import append_fence
from trading.orders.snapshot import state_hash
from trading.orders.state import State
from trading.schemas import ORDERS_JOURNAL


def test_a_reader_follows_the_fences() -> None:
    state = State()
    reader = JournalReader()
    first = append_fence(state, "one", T0)
    assert reader.take(Message("j", 0, 7, b"", first)) is not None
    assert reader.generation == 7
    assert reader.take(Message("j", 0, 8, b"", None)) is None
    assert reader.take(Message("j", 0, 9, b"", append_fence(state, "stale", T0))) is None
    assert reader.skipped == 1


async def test_a_copy_goes_on_by_itself() -> None:
    broker, state = MemoryBroker(), State()
    await broker.append(ORDERS_JOURNAL.name, 0, [(b"", append_fence(state, "one", T0))])
    for command in (*opening("a"), submit("c1"), ack("c1"), fill(qty="4"), submit("c2")):
        for account, payload in apply(state, command, "test", T0, market()).records:
            await broker.append(ORDERS_JOURNAL.name, 0, [(account.encode(), payload)])
    end = await broker.end_offset(ORDERS_JOURNAL.name, 0)
    one = JournalFold(snapshots.Restored(State(), -1, []))
    await one.go_on(broker, 0, end - 3)
    before = state_hash(one.found.state)
    two = one.copy()
    await two.go_on(broker, 0, end)
    assert (one.position, one.folded, state_hash(one.found.state)) == (end - 3, end - 3, before)
    assert (two.position, two.folded, state_hash(two.found.state)) == (end, end, state_hash(state))
    assert (two.reader.generation, two.last_ts_ns) == (0, T0)
    assert state_hash((await newest_fold(broker, 0, 0, end)).found.state) == state_hash(state)
