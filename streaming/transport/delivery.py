"""How both transports hand records to Faust's streams and find the offset to commit.

Replaces three parts of Faust's consumer: the drain loop (four tasks for each record; here one for each batch), the
interval tree of offset gaps (quadratic on topics with gaps), and the commit rule, which passes over a single
unacknowledged record in front of acknowledged ones. Here the order of delivery is remembered, and the commit goes up
to the first delivered record that is not acknowledged.

An app with `together` gets what was fetched as one message whose value is a list of records for each partition: a
stream takes a turn of the event loop and a dozen calls for each message. It says with `let_go` how far they are worked.
With `fetch_gap_s` it waits that long between two fetches that found little. Nothing is fetched while it is `held`.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import ConsumerStoppedError
from faust.transport.consumer import Consumer
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.types import ServiceT

from streaming.transport.client import Record

IDLE_WAIT_S = 1.0
BUFFER_FULL_WAIT_S = 0.05
YIELD_EVERY = 100
TOGETHER_RECORDS = 256
# A fetch that found less than this found no backlog.
FEW_RECORDS = 128

if TYPE_CHECKING:
    _Consumer = Consumer
else:
    _Consumer = object


class DeliveryTracking(_Consumer):
    """Mixin before a Faust `Consumer`. Override `on_partitions_revoked` and `on_partitions_assigned` for ownership."""

    _delivered: defaultdict[TP, deque[int]]
    # Of an app with `together`: the newest record that was handed over, and up to which the app has let go.
    _handed: dict[TP, int]
    _let_go: dict[TP, int]
    _fetch_again: asyncio.Event

    def _reset_state(self) -> None:
        super()._reset_state()
        self._delivered = defaultdict(deque)
        self._handed = {}
        self._let_go = {}
        self._fetch_again = asyncio.Event()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was delivered of partitions that are taken away."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            for state in (self._delivered, self._handed, self._let_go):
                state.pop(tp, None)

    async def perform_seek(self) -> None:
        """Go back to the committed offsets; what was delivered from there on will be delivered again."""
        for state in (self._delivered, self._handed, self._let_go, self._acked, self._acked_index):
            state.clear()
        await super().perform_seek()

    async def commit_and_end_transactions(self) -> None:
        """Commit all that is acknowledged by now; Faust's own call does nothing while another commit is under way."""
        await self.maybe_wait_for_commit_to_finish()
        await super().commit_and_end_transactions()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Need nothing: offsets that were never delivered do not hold the commit."""

    def _new_offset(self, tp: TP) -> int | None:
        delivered, acked = self._delivered[tp], self._acked_index[tp]
        self._acked[tp].clear()
        last = min(self._let_go.get(tp, -1), self._handed.get(tp, -1))
        while delivered and delivered[0] in acked:
            last = delivered.popleft()
            acked.discard(last)
        return None if last < 0 else last + 1

    def let_go(self, tp: TP, offset: int) -> None:
        """Acknowledge all records up to an offset, as far as they were handed over: for an app with `together`."""
        if offset > self._let_go.get(tp, -1):
            self._let_go[tp] = offset
            self._n_acked += 1
            # Faust commits the partitions that have a list here, empty or not.
            self._acked[tp]

    def on_buffer_drop(self, tp: TP) -> None:
        """Fetch a partition again as soon as its stream has room."""
        super().on_buffer_drop(tp)
        self._fetch_again.set()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch paused partitions again."""
        super().resume_partitions(tps)
        self._fetch_again.set()

    async def _wait_next_records(self, timeout: float) -> tuple[Mapping[TP, list[Any]] | None, set[TP] | None]:
        if not self.flow_active:
            await self.wait(cast("Any", self.can_resume_flow))
        if self.app.client_only:
            return await self._getmany(active_partitions=None, timeout=timeout), None
        self._fetch_again.clear()
        active = set(self._get_active_partitions())
        if not active or getattr(self.app, "held", False):
            await self.wait_for_stopped(self._fetch_again_or(timeout))
            return None, active
        if self._buffered_partitions:
            timeout = min(timeout, BUFFER_FULL_WAIT_S)
        return await self._getmany(active_partitions=active, timeout=timeout), active

    async def _fetch_again_or(self, timeout: float) -> None:
        try:
            await asyncio.wait_for(self._fetch_again.wait(), timeout)
        except TimeoutError:
            return

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        stopping = (self._stopped.is_set, cast("Any", fetcher)._stopped.is_set)
        try:
            while not any(stopped() for stopped in stopping):
                await asyncio.sleep(0)
                records, _ = await self._wait_next_records(IDLE_WAIT_S)
                if self.should_stop:
                    return
                if not self.flow_active:
                    await self._seek_back()
                elif records:
                    await self._deliver_until_suspended(records)
                    gap_s = getattr(self.app, "fetch_gap_s", 0.0)
                    if gap_s and sum(map(len, records.values())) < FEW_RECORDS:
                        await asyncio.sleep(gap_s)
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.transport.app.should_stop:
                raise

    async def _deliver_until_suspended(self, records: Mapping[TP, list[Any]]) -> None:
        delivering = asyncio.create_task(self._deliver(records))
        try:
            # Most are through in one turn, and Faust's wait would make four tasks for each.
            await asyncio.sleep(0)
            if not delivering.done():
                await self.wait_first(delivering, self.suspend_flow.wait())
            else:
                delivering.result()
        finally:
            delivering.cancel()

    async def _seek_back(self) -> None:
        try:
            await self.perform_seek()
        except Exception as error:  # noqa: BLE001
            self.log.warning("seek to the committed offsets failed while the flow is stopped: %r", error)

    async def _deliver(self, records: Mapping[TP, list[Any]]) -> None:
        generation = self.app.consumer_generation_id
        for tp in records:
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        if getattr(self.app, "together", False):
            await self._deliver_together(records, generation)
            return
        since_yield = 0
        for tp, record in self.scheduler.iterate(records):
            since_yield += 1
            if since_yield > YIELD_EVERY:
                since_yield = 0
                await asyncio.sleep(0)
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            await self._deliver_one(tp, self._to_message(tp, record))

    async def _deliver_together(self, records: Mapping[TP, list[Any]], generation: int) -> None:
        fresh = {tp: rows for tp, found in records.items() if (rows := self._unread(tp, found))}
        for first in range(0, max(map(len, fresh.values()), default=0), TOGETHER_RECORDS):
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            await self._commit_when_many()
            chosen = {tp: rows[first : first + TOGETHER_RECORDS] for tp, rows in fresh.items() if len(rows) > first}
            last = {tp: rows[-1].offset for tp, rows in chosen.items()}
            self._handed |= last
            carrier = next(iter(chosen))
            # The lists are the value; their records are let go, this message is never acknowledged.
            whole: Any = [
                [Record(tp.topic, tp.partition, row.offset, row.key, row.value) for row in rows]
                for tp, rows in chosen.items()
            ]
            await self.callback(
                ConsumerMessage(
                    *(carrier.topic, carrier.partition, last[carrier], 0.0, 0, [], None, whole, None, 0, 0),
                    tp=carrier,
                    generation_id=generation,
                )
            )
            self._read_offset.update(last)

    def _unread(self, tp: TP, rows: list[Any]) -> list[Any]:
        read = self._read_offset[tp]
        return rows if read is None or rows[0].offset >= read else [row for row in rows if row.offset >= read]

    async def _commit_when_many(self) -> None:
        if self._commit_every is not None and self._n_acked >= self._commit_every:
            self._n_acked = 0
            await self.commit()

    async def _deliver_one(self, tp: TP, message: Any) -> None:
        offset, read = message.offset, self._read_offset[tp]
        if read is not None and offset < read:
            return
        await self._commit_when_many()
        if self.app.topics.acks_enabled_for(message.topic):
            self._delivered[tp].append(offset)
        await self.callback(message)
        self._read_offset[tp] = offset
