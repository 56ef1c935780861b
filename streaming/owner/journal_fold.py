"""A state on its way along the journal of its partition, and which of the journal's records count."""

import time

from streaming.owner import snapshots
from streaming.transport.client import BrokerClient
from streaming.transport.client import Record as Message
from trading.orders.copies import copy_of
from trading.orders.journal import FENCE, Record, fold, read_record
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


class JournalFold:
    """The fold of every record after a snapshot. `last_ts_ns` is the newest time in what was folded."""

    def __init__(self, found: snapshots.Restored) -> None:
        """Begin with the record after a snapshot, whose state is changed here."""
        self.found = found
        self.position = found.journal_off + 1
        # The fence itself carries the generation before it.
        self.reader = JournalReader(found.state.generation if self.position else -1)
        self.folded, self.last_ts_ns, self.fold_s = 0, 0, 0.0

    def copy(self) -> "JournalFold":
        """Return the same fold with a state of its own."""
        made = JournalFold(self.found._replace(state=copy_of(self.found.state)))
        made.position, made.folded = self.position, self.folded
        made.last_ts_ns, made.fold_s = self.last_ts_ns, self.fold_s
        made.reader.generation, made.reader.skipped = self.reader.generation, self.reader.skipped
        return made

    async def go_on(self, client: BrokerClient, partition: int, end: int) -> None:
        """Fold up to journal offset `end`, as far as it can be read; raise `JournalError` for a hole."""
        started, state, reader = time.perf_counter(), self.found.state, self.reader
        async for message in client.read(ORDERS_JOURNAL.name, partition, self.position, end):
            record = reader.take(message)
            if record is not None:
                fold(state, record, offset=message.offset)
                self.folded += 1
                self.last_ts_ns = max(self.last_ts_ns, record.ts_ns)
            self.position = message.offset + 1
        self.fold_s += time.perf_counter() - started


async def newest_fold(client: BrokerClient, partition: int, rows_end: int, end: int) -> JournalFold:
    """Return the fold of a journal up to `end` that begins with the newest whole snapshot before `rows_end`."""

    async def rows() -> snapshots.Rows:
        begin = await client.begin_offset(ORDERS_STATE.name, partition)
        async for message in client.read(ORDERS_STATE.name, partition, begin, rows_end):
            yield message.key, message.value

    made = JournalFold(await snapshots.load(rows()))
    await made.go_on(client, partition, end)
    return made
