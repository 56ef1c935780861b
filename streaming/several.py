"""Several tables from one topic partition: its records are fetched once, and let go when every table has them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streaming.flow import FlowContext
from streaming.sink import DeltaSink
from streaming.transport.client import Record

SUMS = ("rows", "commits", "redelivered", "dead_letters", "missing_offsets", "pending_rows", "retries")
MakeSink = Callable[[FlowContext, str, int], DeltaSink]


class SeveralSinks:
    """A processor that hands its records to sinks of their own tables, each from where its table ends."""

    def __init__(self, context: FlowContext, topic: str, partition: int, *, sinks: Mapping[str, MakeSink]) -> None:
        """Take what makes the sink of each table, by the table's name."""
        self._sinks = {name: make(context, topic, partition) for name, make in sinks.items()}
        self._starts: dict[str, int] = {}

    async def open(self) -> int | None:
        """Return the first offset that a table lacks."""
        for name, sink in self._sinks.items():
            self._starts[name] = await sink.open() or 0
        return min(self._starts.values())

    async def process(self, records: Sequence[Record]) -> int | None:
        """Hand the records to each sink."""
        done: list[int | None] = []
        for name, sink in self._sinks.items():
            start = self._starts[name]
            new = records if records[0].offset >= start else [record for record in records if record.offset >= start]
            done.append(await sink.process(new))
            # Orders wait while rows are made.
            await asyncio.sleep(0)
        return _least(done)

    async def tick(self) -> int | None:
        """Let each sink do what is due."""
        return _least([await sink.tick() for sink in self._sinks.values()])

    async def close(self) -> int | None:
        """Commit what is left in each."""
        return _least([await sink.close() for sink in self._sinks.values()])

    def stats(self) -> Mapping[str, Any]:
        """Return sums, the first error, the slowest commit, and under `tables` the counters of each."""
        tables = {name: sink.stats() for name, sink in self._sinks.items()}
        each = list(tables.values())
        sums = {key: sum(stats[key] for stats in each) for key in SUMS}
        slowest = max((stats["last_commit_ms"] for stats in each if stats["last_commit_ms"] is not None), default=None)
        first = {key: next((stats[key] for stats in each if stats[key]), None) for key in ("error", "waiting")}
        applied = [stats["applied"] for stats in each]
        return {**sums, **first, "applied": _least(applied), "last_commit_ms": slowest, "tables": tables}


def _least(offsets: Sequence[int | None]) -> int | None:
    known = [offset for offset in offsets if offset is not None]
    return min(known) if len(known) == len(offsets) else None
