"""Faust transport `log://`: Faust apps of one process on the embedded broker, with Faust's own semantics.

Every app is the only member of its group: it gets all partitions of the topics that it subscribes to. Topics must
exist before an app starts.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from faust.assignor.client_assignment import ClientAssignment
from faust.transport import base
from faust.types import TP, ConsumerMessage
from faust.types.transports import ConsumerT, ProducerT

from streaming.transport.broker import Broker
from streaming.transport.client import BrokerError
from streaming.transport.delivery import DeliveryTracking
from streaming.transport.frames import Frame
from streaming.transport.log_producer import Producer, create_if_missing, key_partition
from streaming.transport.open_logs import acquire, parse_log_url, release

FETCH_BYTES = 1 << 20
FETCH_RECORDS = 1_000
OFFSETS_RETRY_S = 1.0


class Consumer(DeliveryTracking, base.Consumer):
    """Reads all partitions of the subscribed topics."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._broker: Broker | None = None
        self._assigned: set[TP] = set()
        self._positions: dict[TP, int] = {}
        self._generation = 0
        self._uncommitted: dict[TP, int] = {}
        self._wake: asyncio.Future[None] | None = None

    @property
    def broker(self) -> Broker:
        """Return the broker; the consumer must be started."""
        if self._broker is None:
            raise BrokerError("NOT_STARTED", "the log:// consumer is not started")
        return self._broker

    async def on_start(self) -> None:
        """Join the log."""
        self._broker = acquire(*parse_log_url(str(self.transport.url[0])))
        await super().on_start()

    async def on_stop(self) -> None:
        """Commit and leave the log."""
        await super().on_stop()
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.flush()
            await release(broker)

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Take all partitions of `topics`; an unknown topic crashes the app with `TOPIC_UNKNOWN`."""
        wanted: set[TP] = set()
        for topic in topics:
            count = self.broker.partitions(topic)
            if count is None:
                raise BrokerError("TOPIC_UNKNOWN", f"{self.broker.folder}: no topic {topic!r} to consume. Create it.")
            wanted |= {TP(topic, number) for number in range(count)}
        # Faust waits in the assignment for this call to return.
        self.add_future(self._rebalance(wanted))

    async def _rebalance(self, wanted: set[TP]) -> None:
        self.app.on_rebalance_start()
        await self.on_partitions_revoked(self._assigned - wanted)
        self._assigned = wanted
        self._generation += 1
        self.app.consumer_generation_id = self._generation
        self._fill_assignor(wanted)
        await self.on_partitions_assigned(set(wanted), self._generation)

    def _fill_assignor(self, assigned: set[TP]) -> None:
        by_topic: dict[str, list[int]] = {}
        for tp in sorted(assigned):
            by_topic.setdefault(tp.topic, []).append(tp.partition)
        changelogs = {t: p for t, p in by_topic.items() if t in self.app.tables.changelog_topics}
        external = {t: p for t, p in by_topic.items() if t not in changelogs}
        url = str(self.app.conf.canonical_url)
        assignor = cast("Any", self.app.assignor)
        assignor._assignment = ClientAssignment(actives=by_topic, standbys={})
        assignor._active_tps, assignor._standby_tps = set(assigned), set()
        assignor._topic_groups = dict.fromkeys(by_topic, 0)
        assignor.changelog_distribution = {url: changelogs}
        assignor.external_topic_distribution = {url: external}

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, list[Any]]:
        active = self._assigned if active_partitions is None else active_partitions & self._assigned
        records = self._fetch(active)
        if not records and active:
            await self._wait_for_records(active, timeout)
            records = self._fetch(active)
        return records if self.flow_active else {}

    def _fetch(self, active: set[TP]) -> dict[TP, list[Any]]:
        if not self.flow_active:
            return {}
        records: dict[TP, list[Any]] = {}
        limit = max((self.app.conf.broker_max_poll_records or FETCH_RECORDS) // max(len(active), 1), 1)
        for tp in active:
            source, position = self.broker.partition(*tp), self._positions.get(tp)
            if position is None or position >= source.visible:
                continue
            if position < source.log.begin:
                self.log.error("%r: records %d to %d are gone by retention", tp, position, source.log.begin - 1)
                position = source.log.begin
            frames = self.broker.read(source, position, position + limit, FETCH_BYTES)
            if not frames:
                frames = self.broker.read(source, position, source.visible, 1)
            if frames:
                records[tp] = list(frames)
                self._positions[tp] = frames[-1].offset + 1
        return records

    async def _wait_for_records(self, active: set[TP], timeout: float) -> None:
        woken = self.broker.loop.create_future()
        sources = [self.broker.partition(*tp) for tp in active]
        for source in sources:
            source.waiters.append(woken)
        self._wake = woken
        try:
            await asyncio.wait((woken,), timeout=timeout)
        finally:
            woken.cancel()
            for source in sources:
                if woken in source.waiters:
                    source.waiters.remove(woken)

    def on_buffer_drop(self, tp: TP) -> None:
        """Fetch a partition again as soon as its stream has room."""
        super().on_buffer_drop(tp)
        self._interrupt_wait()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch paused partitions again."""
        super().resume_partitions(tps)
        self._interrupt_wait()

    def _interrupt_wait(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _to_message(self, tp: TP, record: Frame) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.offset,
            record.ts_ms / 1000,
            0,
            [],
            record.key,
            record.value,
            None,
            tp=tp,
            generation_id=self._generation,
        )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to what the group committed, else to the oldest (or newest) record as configured."""
        offsets = {}
        for tp in self._assigned:
            committed = self.broker.committed(self.app.conf.id, *tp)
            self._positions[tp] = self._start_of(tp) if committed is None else committed
            if committed is not None:
                offsets[tp] = committed
        return offsets

    def _start_of(self, tp: TP) -> int:
        source = self.broker.partition(*tp)
        return source.visible if self.app.conf.consumer_auto_offset_reset == "latest" else source.log.begin

    async def _seek(self, partition: TP, offset: int) -> None:
        self._positions[partition] = offset

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go to given offsets."""
        for tp, offset in partitions.items():
            self._positions[tp] = offset
            self._read_offset[tp] = offset if offset > 0 else None

    async def seek_to_beginning(self, *partitions: TP) -> None:
        """Go to the oldest records."""
        for tp in partitions:
            self._positions[tp] = self.broker.partition(*tp).log.begin

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        return {**self._uncommitted, **super()._filter_committable_offsets(tps)}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            turn = self.broker.commit(self.app.conf.id, {(tp.topic, tp.partition): o for tp, o in offsets.items()})
            if turn is not None:
                await turn
        except BrokerError as error:
            if not error.retriable:
                raise
            self._uncommitted = dict(offsets)
            self.log.warning("offsets not committed, will be tried again: %s", error)
            return False
        self._uncommitted = {}
        return True

    async def position(self, tp: TP) -> int | None:
        """Return the next offset to be fetched."""
        return self._positions.get(tp)

    def assignment(self) -> set[TP]:
        """Return the partitions that this app has."""
        return set(self._assigned)

    def highwater(self, tp: TP) -> int:
        """Return the offset behind the newest record."""
        return self.broker.partition(*tp).visible

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the offsets behind the newest records."""
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the oldest offsets held."""
        return {tp: self.broker.partition(*tp).log.begin for tp in partitions}

    def topic_partitions(self, topic: str) -> int | None:
        """Return the number of partitions of a topic."""
        return self.broker.partitions(topic)

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Return the partition of a key."""
        return key_partition(self.broker, topic, key) if partition is None else partition

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def create_topic(self, topic: str, partitions: int, *_: Any, **options: Any) -> None:
        """Create a topic if it is missing."""
        create_if_missing(self.broker, topic, partitions, options)


class Transport(base.Transport):
    """`log:///abs/path[?fsync=always|batch|off]`."""

    Consumer: ClassVar[type[ConsumerT]] = Consumer
    Producer: ClassVar[type[ProducerT]] = Producer
    driver_version = "log=1"
