"""What has left the state of the owners: closed orders, the records of each order, limits by version, equity by minute.

A SQLite read model folded from the journal. It holds nothing that is not there, so a file that is missing, of another
version, or not a prefix of the journal is made anew.
"""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog

from streaming.api.history_fold import MINUTE_NS, SCHEMA, TABLES, Execution, Fold, Progress
from streaming.owner.journal_fold import JournalReader
from streaming.transport.client import BrokerError, Record
from trading.commands import LimitsBody
from trading.orders.journal import Record as JournalRecord
from trading.orders.journal import read_record
from trading.orders.state import OrderRow
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL

VERSION = 3
BATCH_RECORDS = 5_000
# Read in one go; orders wait meanwhile.
PIECE_RECORDS = 100
POLL_S = 1.0
RETRY_S = 1.0
BUSY_S = 5.0
CACHE_KIB = 16 << 10
# 16 MiB: a page that changes again before it is copied into the file is copied once.
WAL_PAGES = 4_096
_rows = msgspec.json.Decoder(OrderRow)
_limits = msgspec.json.Decoder(LimitsBody)
_executions = msgspec.json.Decoder(Execution)
_log = structlog.get_logger("history")


class Journal(Protocol):
    """The part of a broker client that the fold needs."""

    def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Record]:
        """Yield records."""

    async def begin_offset(self, topic: str, partition: int) -> int:
        """Return the oldest offset."""

    async def end_offset(self, topic: str, partition: int) -> int:
        """Return the next offset."""


class Place(NamedTuple):
    """Where a journal record is."""

    partition: int
    offset: int


class Wanted(NamedTuple):
    """Which orders of an account to find; times are of the submission, in ns, the ends outside."""

    account: str
    closed_only: bool
    limit: int
    newest_first: bool
    after_ns: int | None = None
    until_ns: int | None = None
    side: str | None = None
    instruments: tuple[str, ...] = ()


class History:
    """The read model of one process. `catch_up` brings it to the end of the journal; questions see what was folded."""

    def __init__(self, path: Path, journal: Journal, partitions: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._journal = journal
        self._partitions = partitions
        self._lock = asyncio.Lock()
        self._readers: dict[int, JournalReader] = {}
        self._compared: set[int] = set()
        self._db = self._open()
        self._reads = _connect(path)
        self._fold = Fold(self._db)
        self._work: asyncio.Future[None] | None = None

    async def settle(self) -> None:
        """Wait for the transaction in hand: it goes on in its thread when the one who asked for it is cancelled."""
        if self._work is None:
            return
        await asyncio.wait({self._work})
        failed = self._work.exception()
        self._work = None
        if failed is not None:
            # What was folded in memory is not in the file: begin again from the file.
            self._db.rollback()
            self._readers.clear()
            self._fold = Fold(self._db)

    def close(self) -> None:
        """Let go of the file; `settle` first."""
        self._reads.close()
        self._db.close()

    async def keep_folding(self) -> None:
        """Follow the journal for ever, one partition at a time: much at once would hold up the event loop."""
        for partition in itertools.cycle(range(self._partitions)):
            try:
                await self.catch_up(partition)
                await asyncio.sleep(POLL_S / self._partitions)
            except (BrokerError, sqlite3.Error) as error:
                _log.warning("history_waits", reason=str(error))
                await asyncio.sleep(RETRY_S)

    async def catch_up(self, partition: int | None = None) -> None:
        """Fold everything that the journal holds now, of one partition or of all."""
        async with self._lock:
            await self.settle()
            for number in range(self._partitions) if partition is None else (partition,):
                await self._catch_up(number)

    def order(self, order: str) -> OrderRow | None:
        """Return an order by its id."""
        found = self._one("SELECT row FROM ids JOIN orders USING (n) WHERE id = ?", order)
        return None if found is None else _rows.decode(found[0])

    def orders(self, wanted: Wanted) -> list[OrderRow]:
        """Return orders by their submission."""
        clauses, values = ["account = ?"], [wanted.account]
        for clause, value in (
            ("submitted_ns > ?", wanted.after_ns),
            ("submitted_ns < ?", wanted.until_ns),
            ("side = ?", wanted.side),
        ):
            if value is not None:
                clauses.append(clause)
                values.append(str(value) if clause == "side = ?" else value)  # type: ignore[arg-type] # SQL takes both
        if wanted.closed_only:
            clauses.append("ended_ns > 0")
        if wanted.instruments:
            clauses.append(f"instrument IN ({','.join('?' * len(wanted.instruments))})")
            values += wanted.instruments
        way = "DESC" if wanted.newest_first else "ASC"
        # Only fixed words and question marks are put together here; every value is bound.
        sql = f"SELECT row FROM orders WHERE {' AND '.join(clauses)} ORDER BY submitted_ns {way}, n {way} LIMIT ?"  # noqa: S608
        return [_rows.decode(row[0]) for row in self._all(sql, *values, wanted.limit)]

    def places(self, order: str, account: str) -> list[Place]:
        """Return where the journal speaks of an order, oldest first."""
        sql = """
            SELECT partition, offset FROM ids JOIN steps USING (n) WHERE id = ? AND account = ?
            ORDER BY partition, offset
        """
        return [Place(*row) for row in self._all(sql, order, account)]

    async def payload(self, place: Place) -> bytes | None:
        """Return the bytes of one journal record, or None if the broker no longer holds it."""
        async for record in self._journal.read(ORDERS_JOURNAL.name, place.partition, place.offset, place.offset + 1):
            return record.value
        return None

    async def command(self, topic: str, place: Place) -> bytes | None:
        """Return the bytes of what caused a record, or None if it did not come by the command topic or is gone."""
        if topic != ORDERS_COMMANDS.name:
            return None
        async for record in self._journal.read(topic, place.partition, place.offset, place.offset + 1):
            return record.value
        return None

    async def records(self, partition: int) -> AsyncIterator[Record]:
        """Yield a partition of the journal as it is now."""
        begin = await self._journal.begin_offset(ORDERS_JOURNAL.name, partition)
        end = await self._journal.end_offset(ORDERS_JOURNAL.name, partition)
        async for record in self._journal.read(ORDERS_JOURNAL.name, partition, begin, end):
            yield record

    def limits(self, account: str) -> list[dict[str, Any]]:
        """Return every version of the limits of an account, newest first."""
        sql = "SELECT version, ts_ns, actor, reason, body FROM limits WHERE account = ? ORDER BY version DESC"
        return [
            {"version": row[0], "ts_ns": row[1], "actor": row[2], "reason": row[3], "limits": _limits.decode(row[4])}
            for row in self._all(sql, account)
        ]

    def equity(self, account: str, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """Return (ts_ns, equity in 1e-9) for each minute in which an order was approved or cash moved."""
        sql = (
            "SELECT ts_ns, equity FROM equity WHERE account = ? AND minute BETWEEN ? AND ?"
            " AND ts_ns >= ? AND ts_ns < ? ORDER BY minute"
        )
        minutes = start_ns // MINUTE_NS, end_ns // MINUTE_NS
        return [(row[0], int(row[1])) for row in self._all(sql, account, *minutes, start_ns, end_ns)]

    def equity_before(self, account: str, end_ns: int) -> int | None:
        """Return the newest equity from before a time; None if there is none."""
        sql = "SELECT equity FROM equity WHERE account = ? AND minute <= ? AND ts_ns < ? ORDER BY minute DESC LIMIT 1"
        found = self._one(sql, account, end_ns // MINUTE_NS, end_ns)
        return None if found is None else int(found[0])

    def executions(self, wanted: Wanted, beyond: str = "") -> list[Execution]:
        """Return executions by their time, the ends outside; `beyond` is the id after which to go on."""
        way, ahead = ("DESC", "<") if wanted.newest_first else ("ASC", ">")
        clauses, values = ["account = ?"], list[Any]([wanted.account])
        for clause, value in (("ts_ns > ?", wanted.after_ns), ("ts_ns < ?", wanted.until_ns)):
            if value is not None:
                clauses.append(clause)
                values.append(value)
        if beyond:
            # Fixed words and question marks, as above.
            clauses.append(f"(ts_ns, n) {ahead} (SELECT ts_ns, n FROM fills WHERE id = ? AND account = ?)")  # noqa: S608
            values += [beyond, wanted.account]
        sql = f"SELECT row FROM fills WHERE {' AND '.join(clauses)} ORDER BY ts_ns {way}, n {way} LIMIT ?"  # noqa: S608
        return [_executions.decode(row[0]) for row in self._all(sql, *values, wanted.limit)]

    def killed(self, partition: int) -> tuple[bool, str]:
        """Return whether the kill switch of a partition is pulled, and by whom it was moved last."""
        found = self._one("SELECT pulled, actor FROM kills WHERE partition = ?", partition)
        return (False, "") if found is None else (bool(found[0]), found[1])

    def cash_moved(self, account: str, before_ns: int) -> int:
        """Return the cash that was moved in or out until a time, in 1e-9."""
        rows = self._all("SELECT amount FROM flows WHERE account = ? AND ts_ns < ?", account, before_ns)
        return sum(int(row[0]) for row in rows)

    async def _catch_up(self, partition: int) -> None:
        end = await self._journal.end_offset(ORDERS_JOURNAL.name, partition)
        while True:
            place = self._fold.progress(partition)
            if place.next_offset > end or not place.fits or await self._is_of_another(partition, place):
                _log.warning("history_rebuilt", partition=partition, offset=place.next_offset, end=end)
                self._rebuild()
                continue
            if place.next_offset == end:
                return
            start = max(place.next_offset, await self._journal.begin_offset(ORDERS_JOURNAL.name, partition))
            stop = min(end, start + BATCH_RECORDS)
            reader = self._readers.setdefault(partition, JournalReader(place.generation))
            taken: list[tuple[int, JournalRecord]] = []
            async for message in self._journal.read(ORDERS_JOURNAL.name, partition, start, stop):
                record = reader.take(message)
                if record is not None:
                    taken.append((message.offset, record))
                if (message.offset + 1) % PIECE_RECORDS == 0:
                    await asyncio.sleep(0)
            work = asyncio.to_thread(self._fold.take, partition, taken, stop, reader.generation)
            self._work = asyncio.ensure_future(work)
            await asyncio.shield(self._work)

    async def _is_of_another(self, partition: int, place: Progress) -> bool:
        """Say once whether the journal has another record in the place of the newest that was folded."""
        if partition in self._compared:
            return False
        self._compared.add(partition)
        last = place.next_offset - 1
        async for message in self._journal.read(ORDERS_JOURNAL.name, partition, last, place.next_offset):
            if message.offset == last and message.value is not None:
                record = read_record(message.value)
                return record.seq == place.seq and record.hash != place.hash
        return False

    def _rebuild(self) -> None:
        self._readers.clear()
        with self._db:
            for table in TABLES:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - fixed names
        self._fold = Fold(self._db)

    def _open(self) -> sqlite3.Connection:
        try:
            db = _connect(self._path)
            if db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                return db
            db.close()
        except sqlite3.DatabaseError:
            _log.warning("history_unreadable", path=str(self._path))
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        db = _connect(self._path)
        db.executescript(f"{SCHEMA}; PRAGMA user_version = {VERSION}")
        return db

    def _one(self, sql: str, *values: Any) -> Any:
        return next(iter(self._all(sql, *values)), None)

    def _all(self, sql: str, *values: Any) -> Sequence[Any]:
        with closing(self._reads.execute(sql, values)) as cursor:
            return cursor.fetchall()


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False, isolation_level="DEFERRED")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    return db
