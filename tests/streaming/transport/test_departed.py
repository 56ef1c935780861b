"""Who counts as dead, and that a group hears of it at once instead of after the session time."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streaming.transport.client import TopicSpec
from streaming.transport.connect import connect
from streaming.transport.departed import PREFIX, client_id, evict, is_departed, main
from tests.kafka_node import KafkaNode

ROOT = Path(__file__).parents[3]
MEMBER = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer
from streaming.transport.departed import client_id

async def run(bootstrap, topic):
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=topic, client_id=client_id(), session_timeout_ms=30_000
    )
    await consumer.start()
    while not consumer.assignment():
        await consumer.getmany(timeout_ms=100)
    print(client_id(), flush=True)
    while True:
        await consumer.getmany(timeout_ms=100)

asyncio.run(run(*sys.argv[1:]))
"""


def test_a_process_that_lives_is_not_departed_and_one_that_ended_is() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name = client_id(child.pid)
        assert name.startswith(f"{PREFIX}:")
        assert not is_departed(name)
        child.send_signal(signal.SIGSTOP)
        assert not is_departed(name)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_departed(name), "dead, though its parent has not asked yet"
    assert is_departed(name)


def test_an_id_that_went_to_another_process_does_not_hide_the_dead_one() -> None:
    prefix, machine, pid, started = client_id().split(":")
    assert is_departed(f"{prefix}:{machine}:{pid}:{int(started) - 1}")


@pytest.mark.parametrize("name", ["", PREFIX, "faust-1", "other:m:1:2", "trade:elsewhere:999999999:1", "trade:a:b:c"])
def test_what_is_not_of_this_machine_is_left_alone(name: str) -> None:
    assert not is_departed(name)


async def test_the_log_and_a_broker_that_is_away_have_nobody_to_evict(free_port: int) -> None:
    assert await evict("log:///nowhere", ["g"]) == []
    assert await evict(f"kafka://127.0.0.1:{free_port}") == []


def _member(url: str, topic: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", MEMBER, url.removeprefix("kafka://"), topic]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


@pytest.mark.kafka
async def test_a_killed_member_leaves_at_once_and_a_stopped_one_stays(kafka_node: KafkaNode, topic: str) -> None:
    client = connect(kafka_node.url)
    await client.start()
    await client.create_topics([TopicSpec(topic, 1)])
    await client.stop()
    with _member(kafka_node.url, topic) as first:
        assert first.stdout is not None
        name = (await asyncio.to_thread(first.stdout.readline)).strip()
        first.send_signal(signal.SIGSTOP)
        assert await evict(kafka_node.url, [topic, "no-such-group"]) == []
        first.kill()
        first.wait()
        assert await evict(kafka_node.url, [topic]) == [name]
        # With a session of 30 s the next member would have to wait that long for its partition.
        with _member(kafka_node.url, topic) as second:
            assert second.stdout is not None
            async with asyncio.timeout(20):
                assert (await asyncio.to_thread(second.stdout.readline)).strip() != name
            second.kill()
            second.wait()
        assert await asyncio.to_thread(main, [kafka_node.url]) == 0
        assert await evict(kafka_node.url) == [], "nobody is left to evict"
