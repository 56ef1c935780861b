"""The writer task: groups, order, and one place to fail."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from streaming.owner import writer as module
from streaming.owner.desk import WriteLost
from streaming.owner.writer import GroupWriter, Pairs
from streaming.transport.client import BrokerError
from tests.streaming.poll import until


class Journal:
    """Stores groups; waits while `gate` is closed; fails or moves when told to."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.end = 10
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: BrokerError | None = None
        self.seen: list[tuple[int, list[bytes]]] = []
        self.lost: list[BaseException] = []

    async def append(self, pairs: Pairs) -> int:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.groups.append(len(pairs))
        first, self.end = self.end, self.end + len(pairs)
        return first


@pytest.fixture
async def journal() -> Journal:
    return Journal()


@pytest.fixture
async def writer(journal: Journal) -> AsyncIterator[GroupWriter]:
    made: GroupWriter

    def lost(error: BaseException) -> None:
        journal.lost.append(error)
        made.fail(error)

    made = GroupWriter(
        3, journal.append, seq=4, offset=9, written=lambda first, rows: journal.seen.append((first, rows)), lost=lost
    )
    yield made
    made.fail(BrokerError("END", "of the test"))


async def test_what_waits_is_written_as_one_group_in_order(journal: Journal, writer: GroupWriter) -> None:
    journal.gate.clear()
    writer.put("a", b"5")
    await until(lambda: not writer._queue)
    for seq in (6, 7, 8):
        writer.put("a", b"%d" % seq)
    waiting = [asyncio.ensure_future(writer.durable(seq)) for seq in (5, 6, 8, 8)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    journal.gate.set()
    await asyncio.gather(*waiting)
    assert journal.groups == [1, 3]
    assert journal.seen == [(10, [b"5"]), (11, [b"6", b"7", b"8"])]
    await writer.durable(8)


async def test_a_group_is_bounded(journal: Journal, writer: GroupWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP_RECORDS", 2)
    for seq in range(5, 10):
        writer.put("a", b"%d" % seq)
    await writer.durable(9)
    assert journal.groups == [2, 2, 1]


async def test_a_failed_write_fails_all_who_wait_and_all_who_come(journal: Journal, writer: GroupWriter) -> None:
    journal.error = BrokerError("PRODUCE_TIMEOUT", "late", retriable=True)
    writer.put("a", b"5")
    for _ in range(2):
        with pytest.raises(WriteLost, match="late"):
            await writer.durable(5)
    assert journal.lost == [journal.error]


async def test_a_record_at_another_offset_than_expected_is_the_work_of_another_writer(
    journal: Journal, writer: GroupWriter
) -> None:
    journal.end = 11
    writer.put("a", b"5")
    with pytest.raises(WriteLost, match="another writer"):
        await writer.durable(5)


async def test_a_waiter_that_was_cancelled_harms_nobody(journal: Journal, writer: GroupWriter) -> None:
    journal.gate.clear()
    writer.put("a", b"5")
    gone, stays = (asyncio.ensure_future(writer.durable(5)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    journal.gate.set()
    await stays


@pytest.mark.parametrize(("barriers", "works"), [(0, True), (1, True), (2, False)])
async def test_a_renewal_moves_the_offsets_by_its_barrier(
    journal: Journal, writer: GroupWriter, barriers: int, *, works: bool
) -> None:
    async def take_over() -> int:
        journal.end += barriers
        return journal.end

    writer.put("a", b"5")
    await writer.durable(5)
    writer.renew(take_over, lambda: writer.put("", b"fence"))
    if works:
        await until(lambda: writer.durable_seq == 6)
        assert journal.seen[-1] == (11 + barriers, [b"fence"])
        assert writer.base == 5 + barriers
    else:
        await until(lambda: writer.failure is not None)


async def test_a_full_queue_says_so(writer: GroupWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 1)
    assert not writer.full
    writer.put("a", b"5")
    assert writer.full
