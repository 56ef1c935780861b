"""Records, their chain, and the state that comes back from them."""

import msgspec
import pytest

from tests.trading.orders.builders import T0, ack, desk, fill, market, submit
from trading.codec import MAX_MESSAGE_BYTES, CodecError
from trading.commands import AnyCommand, Kill
from trading.orders import journal
from trading.orders.evolve import evolve
from trading.orders.journal import JournalError, append, append_fence, fold, is_worked, read_record, verify
from trading.orders.oms import decide
from trading.orders.snapshot import state_hash
from trading.orders.state import State
from trading.risk.market import MarketView


def run(state: State) -> list[bytes]:
    view: MarketView = market()
    records = [append_fence(state, "worker-1", T0)]
    script: list[AnyCommand] = [submit(), ack(), fill(qty="4"), submit("c2", qty="9999"), fill("t2", qty="6")]
    for n, command in enumerate(script):
        records.append(append(state, "a", f"orders.commands:0:{n}", T0, decide(state, command, view)))
    return records


def seeded() -> State:
    return desk()


def test_a_fold_of_the_records_is_the_state() -> None:
    state, again = seeded(), seeded()
    for offset, payload in enumerate(run(state)):
        fold(again, read_record(payload), offset=offset)
    again.generation = state.generation
    assert state_hash(again) == state_hash(state)
    assert is_worked(again, "orders.commands", 0, 4)
    assert not is_worked(again, "orders.commands", 0, 5)


def test_a_fence_gives_the_generation() -> None:
    state = seeded()
    fold(state, read_record(append_fence(seeded(), "w", T0)), offset=41)
    assert state.generation == 41


def test_the_chain_is_verified_from_any_place() -> None:
    records = run(seeded())
    assert verify(records)[0] == len(records)
    seq, digest = verify(records[:3])
    assert verify(records[3:], seq, digest) == verify(records)


def test_each_flipped_byte_is_found() -> None:
    records = run(seeded())
    target = records[1]
    for place in range(0, len(target), 7):
        flipped = bytearray(target)
        flipped[place] ^= 1
        with pytest.raises(JournalError):
            verify([records[0], bytes(flipped), *records[2:]])


def test_a_lost_and_a_foreign_record_are_found() -> None:
    records = run(seeded())
    with pytest.raises(JournalError, match="record 3 after 1") as gap:
        verify([records[0], records[2]])
    assert gap.value.code == "GAP"
    other = seeded()
    append_fence(other, "worker-2", T0)
    stranger = append(other, "a", "x", T0, ())
    with pytest.raises(JournalError) as broken:
        verify([records[0], stranger])
    assert broken.value.code == "CHAIN_BROKEN"
    with pytest.raises(JournalError) as fold_gap:
        fold(seeded(), read_record(records[2]))
    assert fold_gap.value.code == "GAP"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{", "CORRUPT"),
        (b"\xff", "CORRUPT"),
        (b"{}", "BAD_FIELD"),
        (b"x" * (5 << 20), "TOO_LARGE"),
        (b"[" * 100_000, "CORRUPT"),
    ],
)
def test_what_is_no_record_has_a_code(payload: bytes, code: str) -> None:
    with pytest.raises(CodecError) as error:
        read_record(payload)
    assert error.value.code in (code, "BAD_FIELD")


def test_another_schema_is_refused() -> None:
    payload = append_fence(seeded(), "w", T0).replace(b"orders.journal/1", b"orders.journal/9")
    with pytest.raises(CodecError) as error:
        read_record(payload)
    assert error.value.code == "WRONG_SCHEMA"


def test_a_command_over_many_orders_leaves_records_that_can_be_read() -> None:
    state = desk(max_open_orders=100_000, message_burst=1_000_000, message_rate=1_000_000, max_position_qty="1000000")
    (accepted,) = decide(state, submit(qty="1"), market())
    orders = [f"{n:032x}" for n in range(20_000)]
    for order in orders:
        evolve(state, msgspec.structs.replace(accepted, order=order, client_order_id=order))
    events = decide(state, Kill(account="", ts_ns=T0, actor="p" * 128, reason="r" * 256), market())
    records = [append(state, account, "x", T0, group) for account, group in journal.split(events)]
    assert len(records) == 11
    assert sum(len(read_record(payload).events) for payload in records) == len(orders) + 1
    assert max(map(len, records)) < MAX_MESSAGE_BYTES // 4


def test_events_of_several_accounts_become_a_record_each() -> None:
    state = desk("a", "b")
    view = market()
    for account in ("a", "b"):
        append(state, account, "x", T0, decide(state, submit(account=account), view))
    groups = journal.split(decide(state, Kill(account="", ts_ns=T0, actor="p"), view))
    assert [account for account, _ in groups] == ["", "a", "b"]
