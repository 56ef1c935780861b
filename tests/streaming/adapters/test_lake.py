"""The lake: each range once, whatever crashes, races or tears; durable when a call returns."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from streaming.adapters.lake import Lake, LakeError
from tests.streaming.adapters.lake_rows import (
    DAY,
    NEXT_DAY,
    STEPS,
    TINY,
    keys,
    log_files,
    put,
    rows,
    span,
    wanted,
)
from trading.schemas import TABLES, Table


class StopHere(BaseException):
    """What a test raises in the middle of a write; no product code catches it."""


def stop_at(step: str, occurrence: int = 1) -> Callable[[str], None]:
    """Return a step hook that raises at the given occurrence of `step`."""
    seen = 0

    def on_step(name: str) -> None:
        nonlocal seen
        seen += name == step
        if name == step and seen == occurrence:
            raise StopHere(step)

    return on_step


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Return an empty lake that checkpoints often."""
    return Lake(tmp_path / "lake", checkpoint_every=3)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_new_table_has_the_declared_columns(lake: Lake, table: Table) -> None:
    """Created by ensure, empty, found again by another process."""
    assert not lake.exists(table)
    lake.ensure(table)
    lake.ensure(table)
    other = Lake(lake.root)
    assert other.exists(table)
    assert other.rows(table) == 0
    found = other.read(table)
    assert found.num_rows == 0
    assert [field.name for field in found.schema] == [name for name, _ in table.columns]


def test_the_same_range_twice_is_written_once(lake: Lake) -> None:
    """A redelivery is skipped, by the same and by another process; so is an older range."""
    assert put(lake, 0, 4)
    assert not put(lake, 0, 4)
    assert put(lake, 5)
    assert not put(Lake(lake.root), 0, 4)
    assert not put(lake, 2, 3)
    assert keys(lake) == wanted(range(6))
    assert lake.applied(TINY, "ticks-0") == 5
    assert lake.applied(TINY, "ticks-0:0") == 5
    assert lake.applied(TINY, "ticks-1") is None


def test_a_range_that_is_half_in_the_table_is_refused(lake: Lake) -> None:
    """A writer that lost its partition must not write a part twice."""
    put(lake, 0, 4)
    with pytest.raises(LakeError, match="ticks-0") as caught:
        put(lake, 3, 7)
    assert (caught.value.code, caught.value.retriable) == ("OFFSETS_OVERLAP", False)
    assert keys(lake) == wanted(range(5))
    assert put(lake, 5, 7)


def test_a_range_without_rows_advances_the_offsets(lake: Lake) -> None:
    """All of its messages were duplicates or dead letters."""
    empty = span(0, 3)
    lake.append(TINY, rows(), [empty])
    assert lake.applied(TINY, "ticks-0") == 3
    assert lake.rows(TINY) == 0
    assert put(lake, 4)
    assert lake.range_faults(TINY) == []


def test_one_append_may_span_dates(lake: Lake) -> None:
    """One file for each date; rows and dates come from the log."""
    import pyarrow as pa

    both = pa.concat_tables([rows(0), rows(1, day=NEXT_DAY), rows(2)])
    lake.append(TINY, both, [span(0, 2)])
    assert lake.dates(TINY) == [DAY, NEXT_DAY]
    assert lake.rows_by_date(TINY) == {DAY: 4, NEXT_DAY: 2}
    assert keys(lake) == wanted(range(3))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("opens_anew", [False, True])
def test_a_failure_at_any_step_neither_loses_nor_doubles(tmp_path: Path, step: str, opens_anew: bool) -> None:
    """The caller repeats the append, in the same process or after a restart."""
    lake = Lake(tmp_path, checkpoint_every=1, on_step=stop_at(step, 4))
    stopped = 0
    for offset in range(12):
        try:
            put(lake, offset)
        except StopHere:
            stopped += 1
            lake = Lake(tmp_path, checkpoint_every=1) if opens_anew else lake
            put(lake, offset)
    assert stopped == 1
    assert keys(lake) == wanted(range(12))
    assert lake.range_faults(TINY) == []


def test_a_race_for_the_same_range_has_one_winner(tmp_path: Path) -> None:
    """The other one finds the range in the table and skips it, and gives its file back."""
    winner = Lake(tmp_path)
    winner.ensure(TINY)
    lost: list[bool] = []

    def meanwhile(step: str) -> None:
        if step == "data_synced" and not lost:
            lost.append(put(winner, 0, 2))

    loser = Lake(tmp_path, on_step=meanwhile)
    assert not put(loser, 0, 2)
    assert lost == [True]
    assert keys(winner) == wanted(range(3))
    assert len(list((tmp_path / "bronze" / TINY.name).rglob("*.parquet"))) == 1


def test_writers_of_other_partitions_do_not_hinder_each_other(tmp_path: Path) -> None:
    """Two processes append side by side; both partitions are whole."""

    def write(partition: int) -> None:
        own = Lake(tmp_path, checkpoint_every=2)
        for offset in range(15):
            assert put(own, offset, partition=partition)

    Lake(tmp_path).ensure(TINY)
    threads = [threading.Thread(target=write, args=(partition,)) for partition in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lake = Lake(tmp_path)
    assert keys(lake) == wanted(range(15), 0) + wanted(range(15), 1)
    assert lake.range_faults(TINY) == []


def test_a_handle_sees_what_another_writer_of_its_partition_has_done(tmp_path: Path) -> None:
    """Commits of a third party in between must not hide a commit of the same partition."""
    old, new = Lake(tmp_path), Lake(tmp_path)
    put(old, 0)
    put(new, 1)
    put(old, 0, partition=1)
    assert not put(old, 1)
    assert keys(old) == sorted(wanted([0, 1]) + wanted([0], 1))


def test_a_handle_that_slept_while_the_log_was_archived(tmp_path: Path) -> None:
    """The commits that it would compare itself with have left the log."""
    sleeper, other = Lake(tmp_path), Lake(tmp_path, checkpoint_every=1)
    put(sleeper, 0, partition=1)
    for offset in range(70):
        put(other, offset)
    assert put(sleeper, 1, partition=1)
    assert keys(sleeper) == sorted(wanted(range(70)) + wanted([0, 1], 1))
    assert sleeper.range_faults(TINY) == []


def test_readers_work_beside_the_writer(tmp_path: Path) -> None:
    """A reader sees whole commits only, in any number, while commits are checkpointed and archived."""
    lake, reader = Lake(tmp_path, checkpoint_every=1), Lake(tmp_path)
    put(lake, 0)
    done = threading.Event()
    counts: list[int] = []

    def read() -> None:
        while not done.is_set():
            counts.append(len(keys(reader)))

    thread = threading.Thread(target=read)
    thread.start()
    for offset in range(1, 70):
        put(lake, offset)
    done.set()
    thread.join()
    assert counts == sorted(counts)
    assert all(count % 2 == 0 for count in counts)


def test_the_log_stays_short_and_the_offsets_stay_provable(tmp_path: Path) -> None:
    """Each commit lists the log, so its size must not grow with the table's age."""
    lake = Lake(tmp_path, checkpoint_every=5)
    for offset in range(150):
        put(lake, offset)
    assert len(log_files(lake)) < 80
    assert len(list((lake.path(TINY) / "_delta_log").glob("*.checkpoint.parquet"))) <= 3
    found = Lake(tmp_path).offset_ranges(TINY)
    assert [(entry.source.first, entry.source.last) for entry in found] == [(n, n) for n in range(150)]
    assert sum(entry.source.rows for entry in found) == lake.rows(TINY) == 300
    assert Lake(tmp_path).applied(TINY, "ticks-0:0") == 149
    assert not put(Lake(tmp_path), 149)


def test_a_checkpoint_that_fails_does_not_fail_the_commit(tmp_path: Path) -> None:
    """The commit is durable before; the checkpoint is tried again."""
    failures = [OSError("no checkpoint today")]

    def on_step(name: str) -> None:
        if name == "checkpoint_written" and failures:
            raise failures.pop()

    lake = Lake(tmp_path, checkpoint_every=2, on_step=on_step)
    assert [put(lake, offset) for offset in range(4)] == [True] * 4
    assert not failures
    assert keys(lake) == wanted(range(4))


def test_a_table_of_other_columns_is_refused(lake: Lake) -> None:
    """The message names the columns that were found."""
    put(lake, 0)
    other = Table(
        name=TINY.name,
        columns=(*TINY.columns[:2], ("instrument", "int64"), *TINY.columns[3:]),
        partition_by="date",
        key=TINY.key,
        layer="bronze",
        description="",
    )
    for call in (lambda: Lake(lake.root).ensure(other), lambda: Lake(lake.root).rows(other)):
        with pytest.raises(LakeError, match="instrument:string") as caught:
            call()
        assert caught.value.code == "TABLE_SCHEMA_MISMATCH"


def test_rows_of_other_columns_are_refused(lake: Lake) -> None:
    """Before anything is written."""
    with pytest.raises(LakeError, match="tiny_v1") as caught:
        lake.append(TINY, rows(0).drop_columns(["ts"]), [span(0)])
    assert caught.value.code == "ROWS_SCHEMA_MISMATCH"
    assert not lake.exists(TINY)
