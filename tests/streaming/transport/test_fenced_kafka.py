"""The private names of aiokafka that the fenced writer touches, and what it does without a broker."""

import inspect

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, OutOfOrderSequenceNumber, ProducerFenced
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import Sender
from aiokafka.producer.transaction_manager import TransactionManager

from streaming.transport.client import BrokerError
from streaming.transport.fenced_kafka import KafkaFencedWriter
from streaming.transport.kafka_writer import broker_error


def test_a_producer_has_the_names_that_are_used() -> None:
    source = inspect.getsource(AIOKafkaProducer)
    assert "self._txn_manager =" in source
    assert "self._message_accumulator =" in source
    assert "self._sender =" in source
    accumulator = inspect.getsource(MessageAccumulator)
    assert "self._batches:" in accumulator or "self._batches =" in accumulator
    assert "self._pending_batches =" in accumulator or "self._pending_batches:" in accumulator
    assert isinstance(inspect.getattr_static(Sender, "sender_task"), property)


def test_an_epoch_can_be_put_on_before_the_start() -> None:
    manager = TransactionManager.__new__(TransactionManager)
    assert list(inspect.signature(TransactionManager.set_pid_and_epoch).parameters) == ["self", "pid", "epoch"]
    assert isinstance(inspect.getattr_static(manager, "producer_id"), property)
    assert isinstance(inspect.getattr_static(manager, "producer_epoch"), property)
    # A producer that has an id asks for no other when it starts.
    assert "self._txn_manager.has_pid()" in inspect.getsource(Sender._maybe_wait_for_pid)


@pytest.mark.parametrize("error", [ProducerFenced(), InvalidProducerEpoch(), OutOfOrderSequenceNumber()])
def test_the_refusal_of_a_stale_owner_has_its_code(error: Exception) -> None:
    assert broker_error(error, "t[0]").code == "FENCED"


async def test_nothing_is_written_before_the_take_over() -> None:
    writer = KafkaFencedWriter("127.0.0.1:9", "n", ("j",), 0, 1.0)
    with pytest.raises(BrokerError, match="before the take-over"):
        await writer.append("j", [(b"k", b"v")])
    await writer.stop()
