"""Several tables of one partition: each whole, wherever each of them stood."""

from functools import partial
from pathlib import Path

import pytest

from streaming.adapters.lake import Lake
from streaming.flows.sink_journal import SINKS
from streaming.several import SeveralSinks
from tests.streaming.journal_records import FILLS, broker_of, context_of, drain, records
from trading.schemas import FILLS_V1, JOURNAL_V1, ORDERS_JOURNAL, POSITIONS_V1

TABLES = (JOURNAL_V1, FILLS_V1, POSITIONS_V1)
make = partial(SeveralSinks, sinks=SINKS)


@pytest.mark.parametrize("ahead", range(3))
@pytest.mark.parametrize("cut", [0, 4, 9])
async def test_a_table_that_is_ahead_of_the_others_gets_nothing_twice(tmp_path: Path, ahead: int, cut: int) -> None:
    payloads, _ = records()
    broker = await broker_of(payloads)
    name = TABLES[ahead].name
    part = await broker_of(payloads[:cut])
    await drain(SINKS[name](context_of(tmp_path, part), ORDERS_JOURNAL.name, 0), part)
    sink = make(context_of(tmp_path, broker), ORDERS_JOURNAL.name, 0)
    assert await sink.open() == 0
    await sink.process(broker.records[ORDERS_JOURNAL.name, 0][:7])
    await sink.process(broker.records[ORDERS_JOURNAL.name, 0][7:])
    assert await sink.close() == len(payloads)
    lake = Lake(tmp_path / "lake")
    assert [lake.rows(table) for table in TABLES] == [len(payloads), FILLS, FILLS + 1]
    assert [lake.range_faults(table) for table in TABLES] == [[]] * 3
    assert sink.stats()["redelivered"] == 0


async def test_what_one_table_lacks_is_not_let_go(tmp_path: Path) -> None:
    payloads, _ = records()
    broker = await broker_of(payloads)
    context = context_of(tmp_path, broker, sink={"max_rows": len(payloads)})
    sink = make(context, ORDERS_JOURNAL.name, 0)
    await sink.open()
    # Only the journal has enough rows for a commit; the other tables still wait for more.
    assert await sink.process(broker.records[ORDERS_JOURNAL.name, 0]) == 0
    assert await sink.tick() == 0
    stats = sink.stats()
    assert stats["pending_rows"] >= 2 * FILLS + 1
    assert (stats["applied"], set(stats["tables"])) == (-1, {table.name for table in TABLES})
    assert await sink.close() == len(payloads)
    stats = sink.stats()
    assert (stats["applied"], stats["rows"], stats["pending_rows"]) == (
        len(payloads) - 1,
        len(payloads) + 2 * FILLS + 1,
        0,
    )
