"""Run as a program: writes through a sink, and prints the rows and whether pandas was loaded."""

import asyncio
import sys
from pathlib import Path

from streaming.flow import FlowContext
from streaming.flows.sink_ticks import FLOW
from streaming.settings import Settings
from tests.streaming.market_rows import ticks
from tests.streaming.memory_broker import MemoryBroker


async def main(home: Path) -> None:
    """Write 20 messages over two dates, with checkpoints."""
    broker = MemoryBroker()
    settings = Settings.model_validate({"sink": {"max_rows": 3, "checkpoint_every": 2}})
    for offset in range(20):
        await broker.append("ticks", 0, [(None, ticks(offset, session=19_783 + offset // 10).encode())])
    sink = FLOW.factory(FlowContext(settings, home, broker), "ticks", 0)
    await sink.open()
    for record in broker.records["ticks", 0]:
        await sink.process([record])
    await sink.close()
    sys.stdout.write(f"rows {sink.stats()['rows']}\npandas {'pandas' in sys.modules}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
