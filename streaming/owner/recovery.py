"""From snapshot and journal to the state, and how any reader of the journal tells its records from refuse."""

import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from streaming.owner import snapshots
from streaming.transport.client import BrokerClient, BrokerError
from streaming.transport.client import Record as Message
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


async def recover(client: BrokerClient, partition: int, end: int) -> Recovered:
    """Return the state at journal offset `end`: the newest whole snapshot, then every record after it.

    Raises `JournalError` if the journal does not continue the snapshot without a hole.
    """
    found = await snapshots.load(_rows(client, partition))
    return await _fold(client, partition, end, found)


async def fold_journal(client: BrokerClient, partition: int, end: int) -> Recovered:
    """Return the same from the journal alone, from its genesis: the proof of the snapshot."""
    return await _fold(client, partition, end, snapshots.Restored(State(), -1, []))


async def _fold(client: BrokerClient, partition: int, end: int, found: snapshots.Restored) -> Recovered:
    state, start = found.state, found.journal_off + 1
    # The fence itself carries the generation before it.
    reader = JournalReader(state.generation if start else -1)
    folded, last_ts_ns, started = 0, 0, time.perf_counter()
    position = min(start, end)
    async for message in client.read(ORDERS_JOURNAL.name, partition, start, end):
        position = message.offset + 1
        record = reader.take(message)
        if record is not None:
            fold(state, record, offset=message.offset)
            folded += 1
            last_ts_ns = max(last_ts_ns, record.ts_ns)
    if position < end:
        raise BrokerError("READ_SHORT", f"{ORDERS_JOURNAL.name}[{partition}]: {position} of {end} read", retriable=True)
    fold_s = time.perf_counter() - started
    return Recovered(state, found.journal_off, folded, reader.skipped, last_ts_ns, fold_s, found.unfinished)


async def _rows(client: BrokerClient, partition: int) -> AsyncIterator[tuple[bytes | None, bytes | None]]:
    topic = ORDERS_STATE.name
    begin = await client.begin_offset(topic, partition)
    end = await client.end_offset(topic, partition)
    async for message in client.read(topic, partition, begin, end):
        yield message.key, message.value
