"""From snapshot and journal to the state, and how any reader of the journal tells its records from refuse."""

import time
from typing import NamedTuple

from streaming.owner import snapshots
from streaming.owner.shared_rows import SharedRows
from streaming.transport.client import BrokerClient, BrokerError
from streaming.transport.client import Record as Message
from streaming.transport.fenced import BARRIER_KEY
from trading.orders.journal import FENCE, Record, fold, read_record
from trading.orders.state import State
from trading.schemas import ORDERS_JOURNAL, ORDERS_STATE


class JournalReader:
    """Reads one partition in order: passes over barriers, and over records that a fenced-off owner left behind."""

    def __init__(self, generation: int = -1) -> None:
        """Start with the generation that is in force, -1 at the beginning of the journal."""
        self.generation = generation
        self.skipped = 0

    def take(self, message: Message) -> Record | None:
        """Return the record of a message, or None if it does not count; raise `CodecError` if it is not readable."""
        if message.value is None:
            return None
        record = read_record(message.value)
        if record.generation < self.generation:
            self.skipped += 1
            return None
        if record.cause.startswith(f"{FENCE}:"):
            self.generation = message.offset
        return record


class Recovered(NamedTuple):
    """A state, and how it was found. `last_ts_ns` is the newest time in the folded records."""

    state: State
    snapshot_off: int
    folded: int
    skipped: int
    last_ts_ns: int
    fold_s: float
    unfinished: list[tuple[str, bytes | None]]


class Recovery:
    """The recovery of one partition. Most of it can be done ahead, while another owner still writes."""

    def __init__(self, client: BrokerClient, partition: int, rows: SharedRows | None = None) -> None:
        """`rows` are those that others of this process have read."""
        self._client = client
        self._partition = partition
        self._rows = rows or SharedRows(kept_s=0.0)
        self._rows_end = -1
        self._start_from(snapshots.Restored(State(), -1, []))

    async def read_ahead(self) -> None:
        """Take the newest whole snapshot, and fold the records so far."""
        await self._load()
        await self._fold(await self._client.end_offset(ORDERS_JOURNAL.name, self._partition))

    async def finish(self, end: int) -> Recovered:
        """Return the state at journal offset `end`, with what is new since it was read ahead."""
        # A snapshot that stayed unfinished must be known, so that its rows are written again.
        if self._rows_end < 0 or await self._has_new_rows():
            await self._load()
        return await self.fold_to(end)

    async def fold_to(self, end: int) -> Recovered:
        """Return the state at journal offset `end`; raise `JournalError` if the journal goes on with a hole."""
        await self._fold(end)
        if self._position < end:
            where = f"{ORDERS_JOURNAL.name}[{self._partition}]"
            raise BrokerError("READ_SHORT", f"{where}: {self._position} of {end} read", retriable=True)
        return Recovered(
            *(self._found.state, self._found.journal_off, self._folded, self._reader.skipped),
            *(self._last_ts_ns, self._fold_s, self._found.unfinished),
        )

    async def _load(self) -> None:
        self._rows_end = await self._client.end_offset(ORDERS_STATE.name, self._partition)
        self._start_from(snapshots.restored(await self._rows.read(self._client, self._partition, self._rows_end)))

    def _start_from(self, found: snapshots.Restored) -> None:
        self._found = found
        self._position = found.journal_off + 1
        # The fence itself carries the generation before it.
        self._reader = JournalReader(found.state.generation if self._position else -1)
        self._folded, self._last_ts_ns, self._fold_s = 0, 0, 0.0

    async def _has_new_rows(self) -> bool:
        end = await self._client.end_offset(ORDERS_STATE.name, self._partition)
        rows = self._client.read(ORDERS_STATE.name, self._partition, self._rows_end, end)
        return any([message.key != BARRIER_KEY async for message in rows])

    async def _fold(self, end: int) -> None:
        started, state, reader = time.perf_counter(), self._found.state, self._reader
        async for message in self._client.read(ORDERS_JOURNAL.name, self._partition, self._position, end):
            record = reader.take(message)
            if record is not None:
                fold(state, record, offset=message.offset)
                self._folded += 1
                self._last_ts_ns = max(self._last_ts_ns, record.ts_ns)
            self._position = message.offset + 1
        self._fold_s += time.perf_counter() - started


async def recover(client: BrokerClient, partition: int, end: int, rows: SharedRows | None = None) -> Recovered:
    """Return the state at journal offset `end`: the newest whole snapshot, then every record after it."""
    return await Recovery(client, partition, rows).finish(end)


async def fold_journal(client: BrokerClient, partition: int, end: int) -> Recovered:
    """Return the same from the journal alone, from its genesis: the proof of the snapshot."""
    return await Recovery(client, partition).fold_to(end)
