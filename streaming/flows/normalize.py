"""The normaliser as a role: raw messages in, ticks, bars, prices and dead letters out, each exactly once to a reader.

Its state is a snapshot plus the raw messages behind it. After a kill it reads them again; what the output topics hold
already is not written again, because every derived message names the raw offset that it comes from.
"""

import asyncio
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog

from streaming.adapters.snapshot import SnapshotFile
from streaming.flow import Flow, FlowContext
from streaming.retries import Retries
from streaming.settings import MarketSettings
from streaming.tail import newest_source
from streaming.transport.client import Record
from trading.codec import encode
from trading.market.normalize import Normalized, Normalizer
from trading.market.policy import MarketPolicy
from trading.market.shards import shard_of
from trading.market.snapshot import Part
from trading.messages import Price, Source
from trading.schemas import BARS, DEADLETTER, PRICES, TICKS, TICKS_RAW

ROLE = "normalize"
IDLE_S = 0.3
# What a snapshot costs grows with the state; it may take this share of the time.
SNAPSHOT_SHARE = 0.02
# Nothing is committed between two snapshots, and a group that does not commit for 30 s is taken for dead.
LONGEST_S = 10.0
CHUNK_RECORDS = 16
REWORK_RECORDS = 256
LIVE_NS = 60_000_000_000
MS = 1_000_000

_log = structlog.get_logger(ROLE)
Output = tuple[str, int]
Message = tuple[bytes | None, bytes | None]


class SnapshotHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot belongs to: broker, rules, position in `ticks.raw`, and the state of the outputs then."""

    broker: str
    rules: str
    position: int
    last_crc: int
    ends: dict[str, int]
    written: dict[str, int]


class RawBehindError(Exception):
    """The outputs come from offsets that `ticks.raw` does not have: it was made anew, or lost its end."""

    code = "RAW_BEHIND"
    retriable = False

    def __init__(self, output: Output, written: int, end: int) -> None:
        super().__init__(
            f"{self.code}: {output[0]}[{output[1]}] holds what came of offset {written} of {TICKS_RAW.name}, which "
            f"ends at {end}; new frames would be taken for old ones: bring it back, or move its outputs away too"
        )


class Normalize:
    """Processor of one partition of `ticks.raw`."""

    def __init__(self, context: FlowContext, topic: str, partition: int) -> None:
        self._client, self._observe = context.client, context.observe
        self._topic, self._partition = topic, partition
        self._market = context.settings.market
        self._instruments = context.settings.instrument_table()
        self._policy = policy_of(self._market)
        self._normalizer = Normalizer(self._instruments, self._policy, self._market.shards)
        self._file = SnapshotFile(context.home / "state" / f"normalize-{partition}.snap")
        self._broker = context.settings.broker
        shards = range(self._market.shards)
        self._outputs: list[Output] = [(t.name, n) for t in (TICKS, BARS) for n in shards] + [(DEADLETTER.name, 0)]
        self._written: dict[Output, int] = dict.fromkeys(self._outputs, -1)
        self._retries: dict[Output, Retries] = defaultdict(lambda: Retries(f"{ROLE}[{partition}]"))
        self._held: dict[str, Price] = {}
        self._quiet_below = 0
        self._position = 0
        self._last_crc = 0
        self._released: int | None = None
        self._worked_at = self._snapshot_at = time.monotonic()
        self._snapshot_every_s = self._market.snapshot_seconds
        self._snapshot_error: dict[str, Any] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._rework = 0

    async def open(self) -> int | None:
        """Load the snapshot, look up what is out, and work again what the group has committed behind it."""
        begin = await self._client.begin_offset(self._topic, self._partition)
        head = await self._restore(begin)
        for topic, number in self._outputs:
            floor = head.ends.get(f"{topic}/{number}", 0) if head else 0
            newest = await newest_source(self._client, topic, number, self._partition, floor)
            known = head.written.get(f"{topic}/{number}", -1) if head else -1
            self._written[topic, number] = max(newest, known)
        end = await self._client.end_offset(self._topic, self._partition)
        ahead = max(self._written, key=self._written.__getitem__)
        if self._written[ahead] >= end:
            raise RawBehindError(ahead, self._written[ahead], end)
        self._quiet_below = max(self._written.values()) + 1
        committed = await self._client.committed(ROLE, self._topic, self._partition)
        if committed is not None and committed > self._position:
            _log.warning("state_behind_offset", first=self._position, committed=committed)
            await self._read_again(committed)
        self._released = self._position if head is not None else None
        return self._position

    async def process(self, records: Sequence[Record]) -> int | None:
        """Normalise records; they are let go by the next snapshot, not now."""
        fresh = [record for record in records if record.offset >= self._position]
        for first in range(0, len(fresh), CHUNK_RECORDS):
            await self._work(fresh[first : first + CHUNK_RECORDS])
        return self._released

    async def tick(self) -> int | None:
        """Begin a snapshot when one is due, or soon after the input has become quiet; records go on meanwhile."""
        if self._writing is not None:
            if not self._writing.done():
                return self._released
            await self._written_out()
        now = time.monotonic()
        behind = self._released is None or self._position > self._released
        due = now - self._snapshot_at >= self._snapshot_every_s or now - self._worked_at >= IDLE_S
        if behind and due:
            await self._snapshot()
        return self._released

    async def close(self) -> int | None:
        """Take the last snapshot."""
        await self._written_out()
        if self._released is None or self._position > self._released:
            await self._snapshot()
            await self._written_out()
        return self._released

    def stats(self) -> Mapping[str, Any]:
        """Return the totals of the normaliser, its position and what it waits for."""
        retries = [retry.stats() for retry in self._retries.values()]
        waiting = next((item["waiting"] for item in retries if item["waiting"]), self._snapshot_error)
        return {
            **msgspec.structs.asdict(self._normalizer.totals),
            "position": self._position,
            "snapshot": self._released,
            "rework": self._rework,
            "retries": sum(item["retries"] for item in retries),
            "waiting": waiting,
        }

    async def _work(self, records: Sequence[Record]) -> None:
        """Apply records, write what is not out yet, and wait until the broker has acknowledged all of it."""
        pending: dict[Output, list[Message]] = defaultdict(list)
        newest: dict[Output, int] = {}
        clocks: list[int] = []
        for record in records:
            result = self._normalizer.apply(record.value or b"", Source(self._partition, record.offset))
            self._collect(result, record.offset, pending, newest)
            clocks.extend({batch.clock_ns for batches in (result.ticks, result.bars) for batch in batches.values()})
        self._position = records[-1].offset + 1
        self._last_crc = zlib.crc32(records[-1].value or b"")
        if self._position >= self._quiet_below and self._held:
            self._add_prices(list(self._held.values()), pending)
            self._held.clear()
        # Bars come after the ticks that they follow from: whoever acts on a bar finds the market that closed it.
        for bars in (False, True):
            outputs = [output for output in pending if (output[0] == BARS.name) == bars]
            await self._append_all({output: pending[output] for output in outputs})
        self._written |= newest
        self._worked_at = time.monotonic()
        self._observe_latency(clocks)

    def _collect(
        self, result: Normalized, offset: int, pending: dict[Output, list[Message]], newest: dict[Output, int]
    ) -> None:
        out: list[tuple[Output, bytes, Any]] = []
        for topic, batches in ((TICKS.name, result.ticks), (BARS.name, result.bars)):
            out += [((topic, shard), str(shard).encode(), batch) for shard, batch in batches.items()]
        for output, key, batch in out:
            if offset > self._written[output]:
                pending[output].append((key, batch.encode()))
                newest[output] = offset
        if result.dead is not None and offset > self._written[DEADLETTER.name, 0]:
            pending[DEADLETTER.name, 0].append((str(result.dead.src).encode(), encode(result.dead)))
            newest[DEADLETTER.name, 0] = offset
        if offset >= self._quiet_below:
            self._add_prices(result.prices, pending)
        else:
            # Prices carry no source: while old messages are worked again, only the newest of each is kept.
            self._held |= {price.instrument: price for price in result.prices}
            self._rework += 1

    def _add_prices(self, prices: Sequence[Price], pending: dict[Output, list[Message]]) -> None:
        for price in prices:
            output = (PRICES.name, shard_of(price.instrument, self._market.shards))
            pending[output].append((price.instrument.encode(), encode(price)))

    async def _append_all(self, pending: Mapping[Output, Sequence[Message]]) -> None:
        calls = [self._append(*item) for item in pending.items()]
        if len(calls) == 1:
            await calls[0]
        elif calls:
            await asyncio.gather(*calls)

    async def _append(self, output: Output, messages: Sequence[Message]) -> None:
        await self._retries[output].run(partial(self._client.append, *output, messages))

    def _observe_latency(self, clocks: Sequence[int]) -> None:
        now_ns = time.time_ns()
        for clock_ns in clocks:
            # A replay runs by event time, which says nothing about latency.
            if 0 <= now_ns - clock_ns < LIVE_NS:
                self._observe("feed_to_bar_seconds", (now_ns - clock_ns) / 1e9)

    async def _restore(self, begin: int) -> SnapshotHead | None:
        """Load the snapshot if it belongs to this broker, these rules and these messages."""
        self._position = begin
        loaded = await asyncio.to_thread(self._file.read, SnapshotHead)
        if loaded is None:
            return None
        head, body = loaded
        refusal = await self._refusal(head, begin)
        if refusal is None:
            try:
                self._normalizer = Normalizer.restore(body, self._instruments, self._policy, self._market.shards)
            except ValueError as error:
                refusal = str(error)
        if refusal is not None:
            _log.warning("snapshot_not_used", path=str(self._file.path), reason=refusal)
            return None
        self._position, self._last_crc = head.position, head.last_crc
        return head

    async def _refusal(self, head: SnapshotHead, begin: int) -> str | None:
        if head.broker != self._broker:
            return f"it belongs to broker {head.broker}"
        if head.rules != self._rules():
            return "it was made under other settings or instruments"
        ends = await self._ends()
        if any(head.ends.get(name, 0) > end for name, end in ends.items()):
            return "an output topic ends before it"
        if begin > head.position:
            return f"messages {head.position} to {begin} are gone"
        if head.position == begin:
            return None
        last = [
            record async for record in self._client.read(self._topic, self._partition, head.position - 1, head.position)
        ]
        if not last or zlib.crc32(last[0].value or b"") != head.last_crc:
            return f"message {head.position - 1} is another one"
        return None

    async def _read_again(self, stop: int) -> None:
        records: list[Record] = []
        async for record in self._client.read(self._topic, self._partition, self._position, stop):
            records.append(record)
            if len(records) == REWORK_RECORDS:
                await self.process(records)
                records.clear()
        if records:
            await self.process(records)

    async def _snapshot(self) -> None:
        """Begin to write the state as of now; once it is written, the input below it may be let go."""
        ends = await self._ends()
        head = SnapshotHead(
            broker=self._broker,
            rules=self._rules(),
            position=self._position,
            last_crc=self._last_crc,
            ends=ends,
            written={f"{t}/{n}": offset for (t, n), offset in self._written.items()},
        )
        started = time.monotonic()
        body = self._normalizer.capture()
        self._snapshot_at = time.monotonic()
        stopped_s = self._snapshot_at - started
        self._writing = asyncio.create_task(self._write(head, body, stopped_s), name=f"{ROLE}-snapshot")

    async def _ends(self) -> dict[str, int]:
        return {f"{t}/{n}": span.end for (t, n), span in (await self._client.spans(self._outputs)).items()}

    async def _written_out(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def _write(self, head: SnapshotHead, body: Callable[[], Sequence[Part]], stopped_s: float) -> None:
        try:
            made_s = await asyncio.to_thread(self._make, head, body)
        except OSError as error:
            code = {
                "code": "SNAPSHOT_FAILED",
                "message": f"{self._file.path}: {error}; free some space",
                "since": time.time(),
            }
            if self._snapshot_error is None:
                _log.warning("waiting", of=f"{ROLE}[{self._partition}]", **code)
            self._snapshot_error = self._snapshot_error or code
        else:
            self._snapshot_error = None
            self._released = head.position
            paced_s = min((stopped_s + made_s) / SNAPSHOT_SHARE, LONGEST_S)
            self._snapshot_every_s = max(self._market.snapshot_seconds, paced_s)

    def _make(self, head: SnapshotHead, body: Callable[[], Sequence[Part]]) -> float:
        started = time.monotonic()
        made = body()
        cost_s = time.monotonic() - started
        self._file.write(head, *made)
        return cost_s

    def _rules(self) -> str:
        """Return what the state depends on besides the messages."""
        instruments = b"".join(msgspec.json.encode(instrument) for instrument in self._instruments)
        policy = msgspec.json.encode(self._policy)
        return f"{zlib.crc32(policy, zlib.crc32(instruments)):08x}/{self._market.shards}/{self._market.raw_partitions}"


def policy_of(market: MarketSettings) -> MarketPolicy:
    """Return the rules of the normaliser from the settings."""
    return MarketPolicy(
        allowed_lateness_ns=market.allowed_lateness_ms * MS,
        stale_after_ns=market.stale_after_ms * MS,
        future_tolerance_ns=market.future_tolerance_ms * MS,
        jump_ratio=market.jump_ratio,
        no_trade=market.no_trade,
    )


FLOW = Flow(ROLE, TICKS_RAW.name, Normalize, patient=True)
