"""The role sink-positions: the journal ends in its table."""

from pathlib import Path

from streaming.adapters.lake import Lake
from streaming.flows.sink_positions import FLOW
from tests.streaming.journal_records import FILLS, broker_of, context_of, drain, records
from trading.schemas import ORDERS_JOURNAL, POSITIONS_V1


async def test_the_journal_ends_in_its_table(tmp_path: Path) -> None:
    assert (FLOW.role, FLOW.topic) == ("sink-positions", ORDERS_JOURNAL.name)
    payloads, _ = records()
    broker = await broker_of(payloads)
    sink = FLOW.factory(context_of(tmp_path, broker), FLOW.topic, 0)
    assert await drain(sink, broker) == len(payloads)
    assert Lake(tmp_path / "lake").rows(POSITIONS_V1) == FILLS + 1
