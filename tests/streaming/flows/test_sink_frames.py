"""The role sink-frames: its topic ends in its table."""

from pathlib import Path

from streaming.adapters.lake import Lake
from streaming.flow import FlowContext
from streaming.flows.sink_frames import FLOW
from streaming.settings import Settings
from tests.streaming.market_rows import frame
from tests.streaming.memory_broker import MemoryBroker
from trading.schemas import FRAMES_V1, TICKS_RAW


async def test_its_topic_ends_in_its_table(tmp_path: Path) -> None:
    """Under `{home}/lake`, each message once, offsets without a gap."""
    assert (FLOW.role, FLOW.topic) == ("sink-frames", TICKS_RAW.name)
    broker = MemoryBroker()
    for offset in range(4):
        await broker.append(FLOW.topic, 0, [(None, frame(offset).encode())])
    sink = FLOW.factory(FlowContext(Settings(), tmp_path, broker), FLOW.topic, 0)
    assert await sink.open() == 0
    await sink.process(broker.records[FLOW.topic, 0])
    assert await sink.close() == 4
    lake = Lake(tmp_path / "lake")
    assert lake.rows(FRAMES_V1) == 4 * 1
    assert lake.range_faults(FRAMES_V1) == []
    assert lake.applied(FRAMES_V1, f"{FLOW.topic}-0") == 3
    assert sorted(set(lake.read(FRAMES_V1)["src_offset"].to_pylist())) == [0, 1, 2, 3]


async def test_a_corrupt_frame_is_captured(tmp_path: Path) -> None:
    """Byte for byte, and not as a dead letter: that is the normaliser's."""
    broker = MemoryBroker()
    await broker.append(FLOW.topic, 0, [(None, b"\x00junk\xff")])
    sink = FLOW.factory(FlowContext(Settings(), tmp_path, broker), FLOW.topic, 0)
    await sink.open()
    await sink.process(broker.records[FLOW.topic, 0])
    await sink.close()
    assert Lake(tmp_path / "lake").read(FRAMES_V1)["payload"].to_pylist() == [b"\x00junk\xff"]
    assert not broker.records["deadletter", 0]
