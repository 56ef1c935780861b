"""The private names of Faust, mode and aiokafka that the transports touch: a new version must not lose one silently."""

import inspect
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.producer.message_accumulator import MessageAccumulator
from faust.app.base import App
from faust.assignor.partition_assignor import PartitionAssignor
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from mode import Service
from mode.threads import ServiceThread

from streaming.transport import kafka, log
from streaming.transport.client import TopicSpec
from streaming.transport.connect import connect
from tests.kafka_node import KafkaNode
from tests.streaming.transport.apps import make_app, running, until


@pytest.mark.parametrize(
    ("name", "pinned"), [("aiokafka", "0.14.0"), ("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1")]
)
def test_the_versions_are_those_that_were_read(name: str, pinned: str) -> None:
    assert version(name) == pinned


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            Consumer,
            "_reset_state _add_gap _new_offset _wait_next_records _drain_messages _getmany _to_message _commit _seek "
            "_filter_committable_offsets _get_active_partitions _new_topicpartition perform_seek on_buffer_drop "
            "maybe_wait_for_commit_to_finish commit_and_end_transactions seek_to_committed on_partitions_revoked",
        ),
        (driver.Consumer, "_new_consumer_thread _getmany"),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer call_thread _shutdown_thread _stopped_set"),
        (App, "on_rebalance_start consumer_generation_id"),
        (Service, "wait_first wait_for_stopped add_future"),
    ],
)
def test_what_is_overridden_or_called_exists(owner: type, names: str) -> None:
    assert [name for name in names.split() if not hasattr(owner, name)] == []


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            Consumer,
            "_acked _acked_index _n_acked _commit_every _read_offset _buffered_partitions suspend_flow can_resume_flow",
        ),
        (PartitionAssignor, "_assignment _active_tps _standby_tps _topic_groups changelog_distribution"),
        (AIOKafkaConsumer, "_fetch_max_wait_ms"),
        (AIOKafkaProducer, "_message_accumulator"),
        (MessageAccumulator, "fail_all"),
        (Service, "_stopped"),
        (ServiceThread, "_thread_started"),
    ],
)
def test_attributes_that_are_read_or_set_exist(owner: type, names: str) -> None:
    source = inspect.getsource(owner)
    assert [name for name in names.split() if f"self.{name}" not in source and f"def {name}" not in source] == []


def test_our_consumers_come_first_in_the_order_of_methods() -> None:
    for consumer in (kafka.Consumer, log.Consumer):
        for name in ("_drain_messages", "_new_offset", "_wait_next_records", "_add_gap"):
            assert getattr(consumer, name).__module__ == "streaming.transport.delivery"
    assert kafka.Transport.Consumer is kafka.Consumer


@pytest.mark.kafka
async def test_a_consumer_takes_no_thread_and_leaves_its_group_when_its_app_stops(
    kafka_node: KafkaNode, topic: str, tmp_path: Path
) -> None:
    client = connect(kafka_node.url)
    await client.start()
    await client.create_topics([TopicSpec(topic, 1)])
    seen: list[bytes] = []

    def take(event: Any) -> bool:
        seen.append(event.value)
        return True

    app = make_app(kafka_node.url, f"g-{topic}", topic, take, tmp_path)
    before = set(threading.enumerate())
    async with running(app):
        await client.append(topic, 0, [(None, b"one")])
        await until(lambda: seen == [b"one"])
        assert set(threading.enumerate()) <= before
        outer: Any = app.consumer
        consumer = outer._thread._consumer
        assert consumer._coordinator.generation > 0
    assert consumer._closed
    assert consumer._coordinator.generation < 0
    await client.stop()
