"""Faust transport `kafka://`: Faust's aiokafka driver with our delivery (`delivery`), a fetch wait that can be set, and
the consumer in the loop of its app.

For ownership of partitions override `Consumer.on_partitions_revoked` and `on_partitions_assigned`.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.transports import ConsumerT
from mode.utils.futures import maybe_async

from streaming.transport.delivery import DeliveryTracking

FETCH_MAX_WAIT_MS = 500


class ConsumerInLoop(driver.AIOKafkaConsumerThread):
    """What fetches. For Faust a thread with a loop of its own; here without the thread, in the loop of the app.

    A thread has to wait for the interpreter several times for each fetch while the loop of the app is busy with it. A
    loop that is blocked sends no heartbeats, so its partitions go to others after a session timeout.
    """

    def __init__(self, consumer: "Consumer", **options: Any) -> None:
        super().__init__(consumer, thread_loop=consumer.loop, **options)

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # The driver has a literal here; aiokafka reads it when the consumer starts.
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

    async def start(self) -> None:
        """Start the consumer."""
        self._thread_started.set()
        await self._default_start()

    async def on_stop(self) -> None:
        """Leave the group and disconnect."""
        await self._shutdown_thread()

    def _stopped_set(self) -> None:
        self._stopped.set()

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function of the consumer."""
        return await maybe_async(fun(*args, **kwargs))


class Consumer(DeliveryTracking, driver.Consumer):
    """Reads the partitions that the group gives this process."""

    def _new_consumer_thread(self) -> ConsumerInLoop:
        return ConsumerInLoop(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, list[Any]]:
        # aiokafka reads an empty set as all partitions, and Faust changes its own set in place.
        return await super()._getmany(None if active_partitions is None else set(active_partitions), timeout)


class Transport(driver.Transport):
    """`kafka://host:port`."""

    Consumer: ClassVar[type[ConsumerT]] = Consumer
