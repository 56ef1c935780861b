"""What readers get: rows, files, counts, in the declared columns."""

from pathlib import Path

import duckdb
import pyarrow.compute as pc
import pytest

from streaming.adapters.lake import Lake, LakeError
from streaming.adapters.lake_reads import READ_ATTEMPTS, retry_read
from tests.streaming.adapters.lake_rows import DAY, NEXT_DAY, SCHEMA, TINY, put, rows


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Return a lake with two dates."""
    lake = Lake(tmp_path)
    put(lake, 0, 3)
    put(lake, 4, day=NEXT_DAY)
    return lake


def test_rows_come_back_as_they_were_written(lake: Lake) -> None:
    """With exactly the declared columns and types."""
    found = lake.read(TINY, dates=[NEXT_DAY])
    assert found.schema.equals(SCHEMA)
    assert found.to_pylist() == rows(4, day=NEXT_DAY).to_pylist()


def test_a_reader_chooses_columns_dates_and_rows(lake: Lake) -> None:
    """No dates at all is an empty table with its columns."""
    assert lake.read(TINY, ["src_offset"], [DAY], pc.field("instrument") == "B")["src_offset"].to_pylist() == [
        1,
        1,
        3,
        3,
    ]
    assert lake.read(TINY).num_rows == 10
    nothing = lake.read(TINY, dates=[])
    assert (nothing.num_rows, nothing.schema) == (0, SCHEMA)


def test_counts_come_from_the_log(lake: Lake) -> None:
    """Rows, dates, version and sizes, without opening a data file."""
    for path in lake.files(TINY, [DAY]):
        Path(path).unlink()
    assert lake.rows(TINY) == 10
    assert lake.rows_by_date(TINY) == {DAY: 8, NEXT_DAY: 2}
    assert lake.dates(TINY) == [DAY, NEXT_DAY]
    assert lake.version(TINY) == 2
    assert lake.size_histogram(TINY) == {"<64KiB": 2, "<1MiB": 0, "<16MiB": 0, "<128MiB": 0, ">=128MiB": 0}


def test_duckdb_reads_files_and_dataset(lake: Lake) -> None:
    """Without its delta extension, which it would download."""
    with duckdb.connect() as connection:
        from_files = connection.execute(
            "select date, count(*) from read_parquet($1, hive_partitioning = true) group by 1 order by 1",
            [lake.files(TINY)],
        ).fetchall()
        connection.register("tiny", lake.dataset(TINY))
        from_dataset = connection.execute("select date, count(*) from tiny group by 1 order by 1").fetchall()
    assert from_files == from_dataset == [(DAY, 8), (NEXT_DAY, 2)]


def test_a_table_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """And is not created by a reader."""
    lake = Lake(tmp_path)
    with pytest.raises(LakeError, match="tiny_v1") as caught:
        lake.read(TINY)
    assert caught.value.code == "TABLE_MISSING"
    assert not lake.path(TINY).exists()


def test_a_read_is_repeated_when_files_went_away() -> None:
    """A bounded number of times; another error passes at once."""
    calls: list[int] = []

    def read() -> int:
        calls.append(len(calls))
        if len(calls) < 3:
            raise FileNotFoundError
        return 7

    def fail() -> int:
        calls.append(0)
        raise FileNotFoundError

    assert retry_read(read) == 7
    calls.clear()
    with pytest.raises(FileNotFoundError):
        retry_read(fail)
    assert len(calls) == READ_ATTEMPTS
