"""Faust transport `kafka://`: Faust's aiokafka driver with our delivery (`delivery`) and a fetch wait that can be set.

For ownership of partitions override `Consumer.on_partitions_revoked` and `on_partitions_assigned`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.transports import ConsumerT

from streaming.transport.delivery import DeliveryTracking

FETCH_MAX_WAIT_MS = 500


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches."""

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # The driver has a literal here; aiokafka reads it when the consumer starts.
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer


class Consumer(DeliveryTracking, driver.Consumer):
    """Reads the partitions that the group gives this process."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, list[Any]]:
        # aiokafka reads an empty set as all partitions, and Faust changes its own set in place.
        return await super()._getmany(None if active_partitions is None else set(active_partitions), timeout)


class Transport(driver.Transport):
    """`kafka://host:port`."""

    Consumer: ClassVar[type[ConsumerT]] = Consumer
