"""Snapshots: whole or not at all, wherever the writing of one ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streaming.owner import snapshots
from tests.trading.orders.builders import ack, desk, fill, step, submit
from trading.orders.snapshot import all_rows, state_hash
from trading.orders.state import State

Pair = tuple[bytes | None, bytes | None]


class Topic:
    """Collects rows; after `room` appends it crashes."""

    def __init__(self, room: int = 10**9) -> None:
        self.rows: list[Pair] = []
        self.room = room

    async def append(self, pairs: list[Pair]) -> int:
        if self.room <= 0:
            raise ConnectionError("the process was killed")
        self.room -= 1
        self.rows += pairs
        return len(self.rows) - len(pairs)

    async def read(self) -> AsyncIterator[Pair]:
        for row in self.rows:
            yield row

    def compacted(self) -> "Topic":
        """Return the topic with the newest row of each key only."""
        fresh = Topic()
        fresh.rows = list(dict(self.rows).items())
        return fresh


def work(state: State, first: int, count: int) -> None:
    """Let some orders live."""
    for n in range(first, first + count):
        step(state, submit(f"c{n}"))
        state.seq += 1
        if n % 2:
            step(state, ack(f"c{n}"))
            step(state, fill(f"t{n}", f"c{n}"))


async def written(state: State, topic: Topic) -> str:
    taken = snapshots.cut(state, state.seq + 5)
    await snapshots.write(taken, topic.append)
    return state_hash(state)


async def test_a_snapshot_gives_the_state_back_and_where_it_stands() -> None:
    state, topic = desk("a"), Topic()
    work(state, 0, 5)
    expected = await written(state, topic)
    found = await snapshots.load(topic.read())
    assert state_hash(found.state) == expected
    assert (found.journal_off, found.unfinished) == (state.seq + 5, [])


async def test_nothing_written_is_an_empty_state_before_the_journal() -> None:
    found = await snapshots.load(Topic().read())
    assert (found.journal_off, list(all_rows(found.state))) == (-1, [])


async def test_a_cut_in_pieces_is_of_one_moment_whatever_happens_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "PIECE_ROWS", 3)
    state, topic = desk("a"), Topic()
    work(state, 0, 20)
    cutting = asyncio.create_task(snapshots.cut_in_pieces(state, lambda: state.seq + 5))
    first = 20
    while not cutting.done():
        await asyncio.sleep(0)
        if not cutting.done():
            # One that was encoded may be among those that change.
            step(state, ack(f"c{first - 20}"))
            work(state, first, 1)
            first += 1
    assert first > 22
    taken = await cutting
    assert state.dirty == set()
    await snapshots.write(taken, topic.append)
    found = await snapshots.load(topic.read())
    assert state_hash(found.state) == state_hash(state)
    assert (found.journal_off, found.state.seq) == (state.seq + 5, state.seq)


async def test_only_what_changed_is_written_again() -> None:
    state, topic = desk("a"), Topic()
    work(state, 0, 50)
    await written(state, topic)
    work(state, 50, 1)
    taken = snapshots.cut(state, 99)
    assert len(taken.rows) < 6
    assert state.dirty == set()


@pytest.mark.parametrize("compact", [False, True])
async def test_a_crash_between_any_two_writes_leaves_one_whole_snapshot(
    monkeypatch: pytest.MonkeyPatch, *, compact: bool
) -> None:
    monkeypatch.setattr(snapshots, "PART_BYTES", 400)
    room = 0
    while True:
        state, topic = desk("a"), Topic()
        work(state, 0, 6)
        first = await written(state, topic)
        work(state, 6, 6)
        topic.room = room
        try:
            second = await written(state, topic)
        except ConnectionError:
            second = state_hash(state)
        else:
            break
        source = topic.compacted() if compact else topic
        found = await snapshots.load(source.read())
        whole = state_hash(found.state)
        assert whole in (first, second)
        # What a redo completed is written again by the new owner, and then it needs no redo.
        await snapshots.write_rows(found.unfinished, Topic().append)
        topic.room = 10**9
        await snapshots.write_rows(found.unfinished, topic.append)
        again = await snapshots.load(topic.read())
        assert (state_hash(again.state), again.unfinished) == (whole, [])
        room += 1
    assert room > 8


async def test_a_redo_with_a_missing_part_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "PART_BYTES", 400)
    state, topic = desk("a"), Topic()
    work(state, 0, 6)
    parts: list[Any] = []

    async def keep(pairs: list[Pair]) -> int:
        parts.append(pairs)
        return 0

    await snapshots.write(snapshots.cut(state, 9), keep)
    redo = [pairs for pairs in parts if (pairs[0][0] or b"").startswith(b"redo/")]
    assert len(redo) > 2
    topic.rows = [pair for pairs in redo[:-1] for pair in pairs]
    assert (await snapshots.load(topic.read())).journal_off == -1
    topic.rows = [pair for pairs in redo for pair in pairs]
    assert (await snapshots.load(topic.read())).journal_off == 9
