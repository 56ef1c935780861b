"""Poison: the record at fault is found one by one, condemned at the third failure, and skipped. Pressure is told."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from streaming import lane
from streaming.flow import Flow, FlowContext
from streaming.lane import NO_INTAKE, Lane
from streaming.poison import PoisonFile
from streaming.settings import Settings
from streaming.transport.client import Record
from tests.streaming.memory_broker import FakeIntake, MemoryBroker
from tests.streaming.poll import until
from tests.streaming.probe_flow import FLOW, TOPIC
from trading.codec import decode
from trading.messages import DeadLetter


def start(home: Path, broker: MemoryBroker, consumer: FakeIntake | None = None) -> Lane:
    context = FlowContext(Settings(home=home), home, broker)
    poison = PoisonFile(home / "state" / "poison.json")
    return Lane(FLOW, 0, context, poison, (consumer or FakeIntake()).intake)


def put(lane_: Lane, values: list[str]) -> None:
    for n, value in enumerate(values):
        lane_.put([Record(TOPIC, 0, n, None, value.encode())])


async def fail(home: Path, broker: MemoryBroker, values: list[str]) -> None:
    """Run one process life that ends with an exception."""
    lane_ = start(home, broker)
    put(lane_, values)
    with pytest.raises(ValueError, match="poison"):
        await lane_.task


async def skip(home: Path, broker: MemoryBroker, values: list[str]) -> None:
    """Run one process life that passes all records and ends without a flush."""
    lane_ = start(home, broker)
    put(lane_, values)
    await until(lambda: lane_.position == len(values))
    await lane_.revoke()


async def test_the_record_at_fault_is_found_and_skipped_after_three_lives(tmp_path: Path) -> None:
    broker = MemoryBroker()
    values = ["a", "b", "raise", "c", "d"]
    suspects = []
    for _ in range(3):
        await fail(tmp_path, broker, values)
        suspect = PoisonFile(tmp_path / "state" / "poison.json").get("probe/probe/0")
        assert suspect is not None
        suspects.append((suspect.first, suspect.last, suspect.failures))
    assert suspects == [(0, 4, 1), (2, 2, 2), (2, 2, 3)]

    consumer = FakeIntake()
    lane_ = start(tmp_path, broker, consumer)
    put(lane_, values)
    lane_.finish(5)
    await lane_.task
    assert consumer.gone == {0: 4}
    assert (tmp_path / "probe-0.txt").read_text() == "0 a\n1 b\n3 c\n4 d\n"
    letter = decode(broker.records["deadletter", 0][0].value or b"", DeadLetter)
    assert (letter.topic, letter.src.offset, letter.rejects[0].code) == (TOPIC, 2, "POISON")
    assert "the record is poison" in letter.rejects[0].message
    assert PoisonFile(tmp_path / "state" / "poison.json").get("probe/probe/0") is None


async def test_a_restart_after_the_dead_letter_writes_no_second_one(tmp_path: Path) -> None:
    broker = MemoryBroker()
    for _ in range(3):
        await fail(tmp_path, broker, ["a", "raise"])
    for _ in range(2):
        await skip(tmp_path, broker, ["a", "raise"])
    assert len(broker.records["deadletter", 0]) == 1


async def test_a_record_that_passes_the_second_time_is_no_suspect(tmp_path: Path) -> None:
    broker = MemoryBroker()
    lane_ = start(tmp_path, broker)
    put(lane_, ["raise-once"])
    with pytest.raises(ValueError, match="failed once"):
        await lane_.task
    lane_ = start(tmp_path, broker)
    put(lane_, ["raise-once"])
    lane_.finish(1)
    await lane_.task
    assert PoisonFile(tmp_path / "state" / "poison.json").get("probe/probe/0") is None


async def test_a_full_queue_tells_the_consumer_and_so_does_a_drained_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "QUEUE_BYTES", 10)
    consumer = FakeIntake()
    lane_ = start(tmp_path, MemoryBroker(), consumer)
    put(lane_, ["12345", "67890", "x"])
    assert consumer.told == ["full"]
    lane_.finish(3)
    await lane_.task
    assert consumer.told == ["full", "drop"]


async def test_a_call_that_hangs_does_not_hold_up_a_revocation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "REVOKE_WAIT_S", 0.05)
    lane_ = start(tmp_path, MemoryBroker())
    put(lane_, ["hang"])
    await until(lambda: lane_.ready and not lane_.stats()["queued"])
    await asyncio.wait_for(lane_.revoke(), 10)
    assert lane_.task.cancelled()


async def test_records_that_come_together_are_worked_together(tmp_path: Path) -> None:
    sizes: list[int] = []

    class Counting:
        async def open(self) -> int | None:
            return None

        async def process(self, records: Sequence[Record]) -> int | None:
            sizes.append(len(records))
            return records[-1].offset + 1

        async def tick(self) -> int | None:
            return None

        async def close(self) -> int | None:
            return None

        def stats(self) -> Mapping[str, Any]:
            return {}

    flow = Flow("counting", TOPIC, lambda *_: Counting())
    context = FlowContext(Settings(home=tmp_path), tmp_path, MemoryBroker())
    lane_ = Lane(flow, 0, context, PoisonFile(tmp_path / "state" / "poison.json"), NO_INTAKE)
    await until(lambda: lane_.ready)
    put(lane_, ["x"] * 50)
    await until(lambda: lane_.position == 50)
    await lane_.revoke()
    assert sizes == [50]


async def test_what_comes_again_is_let_go_again_but_not_worked(tmp_path: Path) -> None:
    consumer = FakeIntake()
    lane_ = start(tmp_path, MemoryBroker(), consumer)
    put(lane_, ["a", "b", "c"])
    await until(lambda: consumer.gone == {0: 2})
    consumer.gone.clear()
    put(lane_, ["a", "b"])
    await until(lambda: consumer.gone == {0: 2})
    await lane_.revoke()
    assert (tmp_path / "probe-0.txt").read_text() == "0 a\n1 b\n2 c\n"


async def test_a_condemned_record_is_not_let_go_before_those_in_front_of_it(tmp_path: Path) -> None:
    broker, consumer = MemoryBroker(), FakeIntake()
    for _ in range(3):
        await fail(tmp_path, broker, ["a", "raise"])
    lane_ = start(tmp_path, broker, consumer)
    put(lane_, ["a", "raise"])
    await until(lambda: lane_.position == 2)
    assert consumer.gone == {}
    lane_.finish(2)
    await lane_.task
    assert consumer.gone == {0: 0}
