"""A fold that begins at a mark is the fold of the whole journal, wherever the mark is."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from streaming.strategy_ledger import StrategyLedger
from streaming.transport.client import Record
from tests.streaming.journal_records import COMMANDS, broker_of, context_of, records
from tests.streaming.memory_broker import MemoryBroker
from tests.trading.orders.builders import TABLE, XYZ, ack, fill, submit
from trading.codec import CodecError
from trading.schemas import ORDERS_JOURNAL
from trading.strategies.context import Context

OWN = (
    *COMMANDS[:3],
    submit("c1", strategy="s"),
    submit("c2", strategy="t"),
    ack("c1"),
    ack("c2"),
    fill("t1", qty="4"),
    fill("t2", "c2", qty="4"),
    submit("c3", strategy="s", qty="1000000"),
    fill("t3", qty="6"),
    submit("c4", strategy="s"),
    fill("t4", "c4", qty="5"),
)
TOPIC = ORDERS_JOURNAL.name


def ledger(home: Path, broker: MemoryBroker, *, mark_each: int = 1, refused: list[int] | None = None) -> StrategyLedger:
    """Return a ledger of strategy `s`."""

    def refuse(message: Record, _: CodecError) -> None:
        (refused if refused is not None else []).append(message.offset)

    return StrategyLedger(context_of(home, broker), 0, Context("a", "s", TABLE), refuse, mark_each)


async def whole(home: Path, payloads: Sequence[bytes]) -> str:
    """Return the memory of a ledger that has read everything."""
    broker = await broker_of(payloads)
    return await ledger(home / "whole", broker).fold_to(len(payloads))


@pytest.mark.parametrize("place", range(len(OWN) + 2))
async def test_it_goes_on_from_a_mark_at_any_record(tmp_path: Path, place: int) -> None:
    payloads = records(OWN)[0]
    broker = await broker_of(payloads)
    await ledger(tmp_path, broker).fold_to(place)
    reads = broker_reads(broker)
    after = ledger(tmp_path, broker)
    assert await after.fold_to(len(payloads)) == await whole(tmp_path, payloads)
    assert min(reads) == max(place - 1, 0)


def broker_reads(broker: MemoryBroker) -> list[int]:
    """Return a list of where reads will begin."""
    begins: list[int] = []
    read = broker.read

    def noted(topic: str, partition: int, start: int, stop: int) -> object:
        begins.append(start)
        return read(topic, partition, start, stop)

    broker.read = noted  # type: ignore[method-assign, assignment]  # only what the test counts
    return begins


async def test_records_that_come_later_are_marked_too(tmp_path: Path) -> None:
    payloads = records(OWN)[0]
    broker = await broker_of(payloads)
    life = ledger(tmp_path, broker, mark_each=5)
    await life.fold_to(1)
    for message in broker.records[TOPIC, 0][1:9]:
        life.take(message)
    await life.keep()
    reads = broker_reads(broker)
    assert await ledger(tmp_path, broker).fold_to(len(payloads)) == await whole(tmp_path, payloads)
    assert min(reads) == 8


async def test_a_stale_record_behind_the_mark_counts_as_little_as_before_it(tmp_path: Path) -> None:
    payloads = records(OWN)[0]
    broker = await broker_of([*payloads[:10], payloads[0].replace(b'"seq":1', b'"seq":10'), payloads[9]])
    count = len(broker.records[TOPIC, 0])
    await ledger(tmp_path, broker).fold_to(11)
    found = await ledger(tmp_path, broker).fold_to(count)
    assert found == await ledger(tmp_path / "whole", broker).fold_to(count)


async def test_without_its_journal_or_whole_memory_a_mark_is_none(tmp_path: Path) -> None:
    payloads = records(OWN)[0]
    await ledger(tmp_path, await broker_of(payloads)).fold_to(len(payloads))
    other = records((*COMMANDS[:3], submit("c9", strategy="s"), ack("c9")))[0]
    assert await ledger(tmp_path, await broker_of(other)).fold_to(len(other)) == await whole(tmp_path, other)
    (path,) = (tmp_path / "state").glob("strategy-*.json")
    path.write_bytes(path.read_bytes().replace(XYZ.id.encode(), b"NOT.HERE"))
    broker = await broker_of(payloads)
    assert await ledger(tmp_path, broker).fold_to(len(payloads)) == await whole(tmp_path / "again", payloads)


async def test_what_cannot_be_read_is_told_and_passed_over(tmp_path: Path) -> None:
    payloads, refused = records(OWN)[0], list[int]()
    broker = await broker_of([*payloads[:5], b'{"a"', *payloads[5:]])
    found = await ledger(tmp_path, broker, refused=refused).fold_to(len(payloads) + 1)
    assert (refused, found) == ([5], await whole(tmp_path, payloads))


async def test_a_mark_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    payloads = records(OWN)[0]
    broker = await broker_of(payloads)
    await ledger(tmp_path, broker).fold_to(2)
    (path,) = (tmp_path / "state").glob("strategy-*.json")
    path.with_suffix(".draft").mkdir()
    assert await ledger(tmp_path, broker).fold_to(len(payloads)) == await whole(tmp_path, payloads)
