"""A flow for tests of the runtime: writes what it gets to a file, durable only when it commits, and fails on demand.

Record values are text. `raise` makes process() raise each time, `raise-once` while the file `raised` is missing,
`hang` never returns, `full` waits retriably while the file `full` exists. The commits go to `{home}/probe-{n}.txt`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from streaming.flow import Flow, FlowContext, SourceFlow
from streaming.guard import Retries
from streaming.transport.client import Record

TOPIC = "probe"
COMMIT_ROWS = 3


class DiskFullError(Exception):
    """The fault that goes away."""

    code = "DISK_FULL"
    retriable = True


class Probe:
    """Collects values and commits each three, or on close."""

    def __init__(self, context: FlowContext, topic: str, partition: int) -> None:
        self.home = context.home
        self.path = context.home / f"probe-{partition}.txt"
        self.pending: list[str] = []
        self.next = 0
        self.released: int | None = None
        self.retries = Retries(f"{topic}[{partition}]")

    async def open(self) -> int | None:
        """Go on where the file ends."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.next = int(lines[-1].split()[0]) + 1 if lines else 0
        return self.next or None

    async def process(self, records: Sequence[Record]) -> int | None:
        """Keep the values, or do what they say."""
        for record in records:
            text = (record.value or b"").decode()
            await self._obey(text)
            self.pending.append(f"{record.offset} {text}")
            self.next = record.offset + 1
        if len(self.pending) >= COMMIT_ROWS:
            await self._commit()
        return self.released

    async def tick(self) -> int | None:
        """Do nothing by time."""
        return None

    async def close(self) -> int | None:
        """Commit the rest."""
        await self._commit()
        return self.released

    def stats(self) -> Mapping[str, Any]:
        """Return counters."""
        return {"rows": self.next, "pending_rows": len(self.pending), **self.retries.stats()}

    async def _obey(self, text: str) -> None:
        if text == "raise":
            raise ValueError("the record is poison")
        if text == "raise-once" and not (self.home / "raised").exists():
            (self.home / "raised").touch()
            raise ValueError("the processor failed once")
        if text == "hang":
            await asyncio.Event().wait()

    async def _commit(self) -> None:
        await self.retries.run(self._write)

    async def _write(self) -> None:
        if (self.home / "full").exists():
            raise DiskFullError("no space left")
        with self.path.open("a") as file:
            file.writelines(f"{line}\n" for line in self.pending)
        self.pending = []
        self.released = self.next


class ProbeSource:
    """Appends the lines of `{home}/input.txt`, once over all starts, then is drained."""

    def __init__(self, context: FlowContext) -> None:
        self.context = context
        self.sent = 0
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        """Append what the topic does not hold yet."""
        lines = self._lines()
        self.sent = await self.context.client.end_offset(TOPIC, 0)
        for line in lines[self.sent :]:
            await self.context.client.append(TOPIC, 0, [(b"k", line.encode())])
            self.sent += 1
        if lines[-1:] == ["stay"]:
            await self.stopped.wait()

    def _lines(self) -> list[str]:
        return (self.context.home / "input.txt").read_text().splitlines()

    async def stop(self) -> None:
        """End."""
        self.stopped.set()

    def stats(self) -> Mapping[str, Any]:
        """Return counters."""
        return {"name": "probe", "venue": "T", "drained": True, "clock_ns": 0, "frames": self.sent, "ticks": self.sent}


FLOW = Flow("probe", TOPIC, Probe)
SOURCE = SourceFlow("probe-source", ProbeSource)
