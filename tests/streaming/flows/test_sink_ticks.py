"""The role sink-ticks: its topic ends in its table."""

from pathlib import Path

from streaming.adapters.lake import Lake
from streaming.flow import FlowContext
from streaming.flows.sink_ticks import FLOW
from streaming.settings import Settings
from tests.streaming.market_rows import ticks
from tests.streaming.memory_broker import MemoryBroker
from trading.schemas import TICKS, TICKS_V1


async def test_its_topic_ends_in_its_table(tmp_path: Path) -> None:
    """Under `{home}/lake`, each message once, offsets without a gap."""
    assert (FLOW.role, FLOW.topic) == ("sink-ticks", TICKS.name)
    broker = MemoryBroker()
    for offset in range(4):
        await broker.append(FLOW.topic, 0, [(None, ticks(offset, 3).encode())])
    sink = FLOW.factory(FlowContext(Settings(), tmp_path, broker), FLOW.topic, 0)
    assert await sink.open() == 0
    await sink.process(broker.records[FLOW.topic, 0])
    assert await sink.close() == 4
    lake = Lake(tmp_path / "lake")
    assert lake.rows(TICKS_V1) == 4 * 3
    assert lake.range_faults(TICKS_V1) == []
    assert lake.applied(TICKS_V1, f"{FLOW.topic}-0") == 3
    assert sorted(set(lake.read(TICKS_V1)["src_offset"].to_pylist())) == [0, 1, 2, 3]
