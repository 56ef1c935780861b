"""One command, its records and its answer."""

import pytest

from streaming.owner.apply import apply
from tests.trading.orders.builders import MODEL, T0, TABLE, desk, market, submit
from trading.commands import CancelAll, Kill, Timer
from trading.events import OrderAccepted, OrderRefused
from trading.orders.journal import read_record, verify
from trading.risk.market import MarketView

LATER = T0 + 10**9


def test_the_time_is_the_one_of_the_owner() -> None:
    state = desk("a")
    applied = apply(state, submit(ts_ns=5), "t-1", LATER, market(LATER))
    accepted = applied.answer.events[0]
    assert isinstance(accepted, OrderAccepted)
    assert accepted.ts_ns == applied.answer.ts_ns == LATER
    record = read_record(applied.records[0][1])
    assert (record.ts_ns, record.cause, record.account) == (LATER, "t-1", "a")
    assert (applied.answer.seq, applied.answer.account_seq) == (record.seq, record.account_seq)


def test_a_repeated_refusal_is_an_answer_and_no_record() -> None:
    state = desk("a")
    large = submit(qty="1001")
    first = apply(state, large, "t-1", T0, market())
    again = apply(state, large, "t-2", T0, market())
    assert isinstance(first.answer.events[0], OrderRefused)
    assert isinstance(again.answer.events[0], OrderRefused)
    assert (len(first.records), again.records, again.answer.seq) == (1, [], first.answer.seq)


@pytest.mark.parametrize(("keep", "records"), [(True, 1), (False, 0)])
def test_a_command_without_effect_leaves_a_record_only_for_its_cause(*, keep: bool, records: int) -> None:
    state = desk("a")
    applied = apply(state, CancelAll(account="a", ts_ns=0), "orders.commands:0:7", T0, market(), keep_cause=keep)
    assert (applied.answer.events, len(applied.records)) == ((), records)
    assert state.causes == ({"orders.commands:0": 7} if keep else {})


def test_the_last_record_of_several_carries_the_cause() -> None:
    state = desk("a", "b")
    for account in ("a", "b"):
        apply(state, submit(account=account), "t-1", T0, market())
    before = state.seq, state.hash
    applied = apply(state, Kill(account="", ts_ns=0, actor="x"), "orders.commands:0:9", T0, market())
    causes = [read_record(payload).cause for _, payload in applied.records]
    assert causes == ["orders.commands:0:9/0", "orders.commands:0:9/1", "orders.commands:0:9"]
    assert verify([payload for _, payload in applied.records], *before) == (state.seq, state.hash)


def test_a_timer_with_nothing_due_leaves_nothing() -> None:
    state = desk("a")
    seq = state.seq
    applied = apply(state, Timer(account="", ts_ns=0), "timer-1", T0, MarketView(TABLE, model=MODEL))
    assert (applied.records, state.seq) == ([], seq)
