"""Produce requests to one broker that do not wait for each other.

aiokafka has one request under way for each node, so an append waits for every other append of the process. It also
keeps a partition closed while a batch of it is under way, and that alone is what keeps the order and the sequence
numbers of an idempotent producer.
"""

from aiokafka import AIOKafkaProducer


class NoNode(set[int]):
    """The nodes that no request may go to now, as aiokafka's sender keeps them: always none."""

    def add(self, element: int, /) -> None:
        """Keep nothing."""

    def remove(self, element: int, /) -> None:
        """Keep nothing."""


def overlap(producer: AIOKafkaProducer) -> None:
    """Let requests for different partitions overlap; call it before the producer starts."""
    producer._sender._in_flight = NoNode()
