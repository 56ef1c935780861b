"""Sinks of the journal: each record once however often they restart, and nothing of a fenced-off owner."""

from functools import partial
from pathlib import Path

import msgspec
import pytest

from streaming import journal_sink
from streaming.adapters.lake import Lake
from streaming.flow import FlowContext
from streaming.journal_rows import Fills, Journal, Positions
from streaming.journal_sink import JournalSink
from tests.streaming.journal_records import FILLS, broker_of, context_of, drain, records
from trading.codec import decode
from trading.messages import DeadLetter
from trading.orders.journal import append_fence, verify
from trading.schemas import DEADLETTER, FILLS_V1, JOURNAL_V1, ORDERS_JOURNAL, POSITIONS_V1


def sinks(context: FlowContext) -> list[JournalSink]:
    """Return the three sinks of the first partition."""
    make = partial(JournalSink, context, ORDERS_JOURNAL.name, 0)
    return [
        make(table=JOURNAL_V1, rows=Journal),
        make(table=FILLS_V1, rows=Fills),
        make(table=POSITIONS_V1, rows=Positions),
    ]


@pytest.mark.parametrize("cut", [0, 1, 5, 8, 10])
async def test_a_restart_at_any_record_changes_nothing(tmp_path: Path, cut: int) -> None:
    payloads, state = records()
    broker = await broker_of(payloads[:cut])
    for sink in sinks(context_of(tmp_path, broker)):
        await drain(sink, broker)
    await broker.append(ORDERS_JOURNAL.name, 0, [(b"a", payload) for payload in payloads[cut:]])
    for sink in sinks(context_of(tmp_path, broker)):
        assert await drain(sink, broker) == len(payloads)
    lake = Lake(tmp_path / "lake")
    journal = lake.read(JOURNAL_V1).sort_by("seq")
    assert verify(journal["payload"].to_pylist()) == (state.seq, state.hash)
    assert lake.rows(FILLS_V1) == FILLS
    positions = lake.read(POSITIONS_V1).sort_by("seq").to_pylist()
    assert (len(positions), positions[-1]["cash"]) == (FILLS + 1, state.accounts["a"].exposure.cash)
    for table in (JOURNAL_V1, FILLS_V1, POSITIONS_V1):
        assert lake.range_faults(table) == []


async def test_rows_that_are_made_in_pieces_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads, _ = records()
    broker = await broker_of(payloads)
    found = []
    for number, rows in enumerate((2, 1_000)):
        monkeypatch.setattr(journal_sink, "BREATH_ROWS", rows)
        for sink in sinks(context_of(tmp_path / str(number), broker)):
            await drain(sink, broker)
        lake = Lake(tmp_path / str(number) / "lake")
        found.append([lake.read(table) for table in (JOURNAL_V1, FILLS_V1, POSITIONS_V1)])
    assert found[0] == found[1]
    assert all(table.num_rows > 2 for table in found[0])


@pytest.mark.parametrize("cut", range(1, 12))
async def test_positions_go_on_from_a_mark_without_reading_what_is_before_it(tmp_path: Path, cut: int) -> None:
    payloads, state = records()
    make = partial(JournalSink, topic=ORDERS_JOURNAL.name, partition=0, table=POSITIONS_V1, rows=Positions, mark_each=1)
    broker = await broker_of(payloads[:cut])
    await drain(make(context_of(tmp_path, broker)), broker)
    # No record, so whoever reads it again fails.
    held = broker.records[ORDERS_JOURNAL.name, 0]
    held[: cut - 1] = [msgspec.structs.replace(record, value=None) for record in held[: cut - 1]]
    await broker.append(ORDERS_JOURNAL.name, 0, [(b"a", payload) for payload in payloads[cut:]])
    await drain(make(context_of(tmp_path, broker)), broker)
    last = Lake(tmp_path / "lake").read(POSITIONS_V1).sort_by("seq").to_pylist()[-1]
    exposure = state.accounts["a"].exposure
    assert (last["cash"], last["qty"]) == (exposure.cash, exposure.holdings["XYZ.SIM"].qty)


async def test_what_a_fenced_off_owner_left_counts_for_nothing(tmp_path: Path) -> None:
    payloads, state = records()
    whole = [*payloads[:6], None, append_fence(state, "next", 1), *payloads[6:]]
    broker = await broker_of(whole[:8])
    for sink in sinks(context_of(tmp_path, broker)):
        await drain(sink, broker)
    await broker.append(ORDERS_JOURNAL.name, 0, [(b"a", payload) for payload in whole[8:]])
    for sink in sinks(context_of(tmp_path, broker)):
        await drain(sink, broker)
    lake = Lake(tmp_path / "lake")
    assert lake.read(JOURNAL_V1)["stale"].to_pylist().count(True) == len(payloads) - 6
    assert lake.rows(JOURNAL_V1) == len(whole) - 1
    assert lake.rows(FILLS_V1) == 0
    assert lake.rows(POSITIONS_V1) == 1


async def test_an_unreadable_record_becomes_a_dead_letter(tmp_path: Path) -> None:
    broker = await broker_of([records()[0][0], b'{"kind":"order_filled"'])
    for sink in sinks(context_of(tmp_path, broker)):
        await drain(sink, broker)
    letters = [decode(record.value or b"", DeadLetter) for record in broker.records[DEADLETTER.name, 0]]
    assert [letter.rejects[0].code for letter in letters] == ["CORRUPT"] * 3
    again = sinks(context_of(tmp_path, broker))[2]
    assert await again.open() == 2
