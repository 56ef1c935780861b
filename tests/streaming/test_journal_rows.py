"""Rows of the journal: the record as it is, its fills, and positions that agree with the core's own books."""

from collections.abc import Sequence

import pytest

from streaming.adapters.lake import arrow_schema
from streaming.columns import PlainRow, from_rows
from streaming.journal_rows import Fills, Journal, JournalRows, Positions
from streaming.transport.client import Record
from tests.streaming.journal_records import FILLS, records
from tests.trading.orders.builders import TABLE, oid
from trading.codec import CodecError
from trading.instruments import InstrumentTable
from trading.orders.journal import append_fence, read_record
from trading.orders.state import State
from trading.schemas import FILLS_V1, JOURNAL_V1, ORDERS_JOURNAL, POSITIONS_V1

TABLES = {Journal: JOURNAL_V1, Fills: FILLS_V1, Positions: POSITIONS_V1}


def rows_of(made: JournalRows, payloads: Sequence[bytes], stale: Sequence[int] = ()) -> list[dict[str, object]]:
    plain: list[PlainRow] = []
    for offset, payload in enumerate(payloads):
        message = Record(ORDERS_JOURNAL.name, 3, offset, b"a", payload)
        plain += made.rows(message, read_record(payload), offset in stale, TABLE)
    table = next(table for kind, table in TABLES.items() if isinstance(made, kind))
    found: list[dict[str, object]] = from_rows(arrow_schema(table), plain).to_pylist()
    return found


def test_the_record_is_kept_byte_for_byte() -> None:
    payloads, state = records()
    rows = rows_of(Journal(), payloads, stale=[2])
    assert [row["payload"] for row in rows] == payloads
    assert [row["seq"] for row in rows] == list(range(1, len(payloads) + 1))
    assert [row["stale"] for row in rows].count(True) == 1
    assert rows[-1]["hash"] == state.hash
    assert (rows[0]["kinds"], rows[4]["kinds"], rows[4]["events"]) == ("", "order_accepted", 1)
    assert {(row["src_partition"], row["src_row"]) for row in rows} == {(3, 0)}


def test_fills_are_exact_and_stale_ones_are_left_out() -> None:
    payloads, _ = records()
    rows = rows_of(Fills(), payloads)
    assert [row["trade_id"] for row in rows] == ["t1", "t2", "t3", "t4"]
    first = rows[0]
    assert (first["order_id"], first["qty"], first["price"], first["cost"], first["fee"]) == (
        oid(), 4, 9_900, 396 * 10**9, 5 * 10**8,
    )  # fmt: skip
    assert rows_of(Fills(), payloads, stale=range(len(payloads))) == []


def test_positions_and_cash_are_the_cores() -> None:
    payloads, state = records()
    rows = rows_of(Positions(), payloads)
    exposure = state.accounts["a"].exposure
    holding = exposure.holdings["XYZ.SIM"]
    assert len(rows) == FILLS + 1
    assert (rows[0]["instrument"], rows[0]["cash"]) == ("", 10**15)
    last = rows[-1]
    assert (last["qty"], last["cost"], last["realised"], last["fees"], last["cash"]) == (
        holding.qty, holding.cost, holding.realised, holding.fees, exposure.cash,
    )  # fmt: skip
    assert last["qty"] == -2


def test_a_time_that_no_date_can_hold_is_refused() -> None:
    late = append_fence(State(), "x", 2**63 - 1)
    with pytest.raises(CodecError, match="between day 0"):
        rows_of(Journal(), [late])


@pytest.mark.parametrize("made", [Fills(), Positions()])
def test_a_fill_of_an_instrument_that_is_not_configured_is_refused(made: JournalRows) -> None:
    payloads, _ = records()
    message = Record(ORDERS_JOURNAL.name, 0, 6, b"a", payloads[6])
    with pytest.raises(CodecError, match=r"XYZ\.SIM"):
        made.rows(message, read_record(payloads[6]), False, InstrumentTable([]))
