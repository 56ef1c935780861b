"""The role sink-bars: its topic ends in its table."""

from pathlib import Path

from streaming.adapters.lake import Lake
from streaming.flow import FlowContext
from streaming.flows.sink_bars import FLOW
from streaming.settings import Settings
from tests.streaming.market_rows import bars
from tests.streaming.memory_broker import MemoryBroker
from trading.schemas import BARS, BARS_V1


async def test_its_topic_ends_in_its_table(tmp_path: Path) -> None:
    """Under `{home}/lake`, each message once, offsets without a gap."""
    assert (FLOW.role, FLOW.topic) == ("sink-bars", BARS.name)
    broker = MemoryBroker()
    for offset in range(4):
        await broker.append(FLOW.topic, 0, [(None, bars(offset).encode())])
    sink = FLOW.factory(FlowContext(Settings(), tmp_path, broker), FLOW.topic, 0)
    assert await sink.open() == 0
    await sink.process(broker.records[FLOW.topic, 0])
    assert await sink.close() == 4
    lake = Lake(tmp_path / "lake")
    assert lake.rows(BARS_V1) == 4 * 5
    assert lake.range_faults(BARS_V1) == []
    assert lake.applied(BARS_V1, f"{FLOW.topic}-0") == 3
    assert sorted(set(lake.read(BARS_V1)["src_offset"].to_pylist())) == [0, 1, 2, 3]
