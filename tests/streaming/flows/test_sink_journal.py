"""The role sink-journal: the journal ends in its table."""

from pathlib import Path

from streaming.adapters.lake import Lake
from streaming.flows.sink_journal import FLOW
from tests.streaming.journal_records import broker_of, context_of, drain, records
from trading.schemas import JOURNAL_V1, ORDERS_JOURNAL


async def test_the_journal_ends_in_its_table(tmp_path: Path) -> None:
    assert (FLOW.role, FLOW.topic) == ("sink-journal", ORDERS_JOURNAL.name)
    payloads, _ = records()
    broker = await broker_of(payloads)
    sink = FLOW.factory(context_of(tmp_path, broker), FLOW.topic, 0)
    assert await drain(sink, broker) == len(payloads)
    assert Lake(tmp_path / "lake").rows(JOURNAL_V1) == len(payloads)
