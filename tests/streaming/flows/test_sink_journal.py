"""The role sink-journal: the journal ends in its three tables."""

from pathlib import Path

from streaming.adapters.lake import Lake
from streaming.flows.sink_journal import FLOW
from tests.streaming.journal_records import FILLS, broker_of, context_of, drain, records
from trading.schemas import FILLS_V1, JOURNAL_V1, ORDERS_JOURNAL, POSITIONS_V1


async def test_the_journal_ends_in_its_tables(tmp_path: Path) -> None:
    assert (FLOW.role, FLOW.topic) == ("sink-journal", ORDERS_JOURNAL.name)
    payloads, _ = records()
    broker = await broker_of(payloads)
    sink = FLOW.factory(context_of(tmp_path, broker), FLOW.topic, 0)
    assert await drain(sink, broker) == len(payloads)
    lake = Lake(tmp_path / "lake")
    assert [lake.rows(table) for table in (JOURNAL_V1, FILLS_V1, POSITIONS_V1)] == [len(payloads), FILLS, FILLS + 1]
