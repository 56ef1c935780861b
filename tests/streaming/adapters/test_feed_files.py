from pathlib import Path

import pyarrow as pa
import pytest

from streaming.adapters import feed_files
from streaming.adapters.feed import FeedError
from streaming.adapters.feed_files import Chunk, count_rows, find_files, read_files
from streaming.adapters.feed_rows import Texts
from tests.streaming.adapters.tick_files import quotes, trades, write


def read(*paths: Path) -> list[Chunk]:
    return list(read_files(paths, Texts()))


def times(chunks: list[Chunk]) -> list[int]:
    return [int(ts) for chunk in chunks for ts in chunk.rows.ts_ns]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_file_is_read_in_its_order(tmp_path: Path, suffix: str) -> None:
    file = write(trades(2_500), tmp_path / f"day{suffix}")
    ids = [n for chunk in read(file) for n in chunk.rows.trade_id.tolist()]
    assert ids == list(range(2_500))


def test_a_byte_order_mark_belongs_to_no_column(tmp_path: Path) -> None:
    file = write(trades(3), tmp_path / "day.csv")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert [n for chunk in read(file) for n in chunk.rows.trade_id.tolist()] == [0, 1, 2]


def test_several_files_are_merged_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_files, "CHUNK_ROWS", 64)
    files = [
        write(trades(500), tmp_path / "a.parquet"),
        write(trades(300, first=500), tmp_path / "b.parquet"),
        write(quotes(700), tmp_path / "c.parquet"),
    ]
    merged = times(read(*files))
    assert len(merged) == 1_500
    assert merged == sorted(merged)


def test_a_file_out_of_order_keeps_its_own_order(tmp_path: Path) -> None:
    table = trades(6)
    table = table.take(pa.array([0, 2, 1, 3, 5, 4]))
    other = write(quotes(3), tmp_path / "z.parquet")
    chunks = read(write(table, tmp_path / "a.parquet"), other)
    ids = [n for chunk in chunks for n in chunk.rows.trade_id.tolist() if n >= 0]
    assert ids == [0, 2, 1, 3, 5, 4]


def test_rows_with_other_columns_are_refused_with_their_line(tmp_path: Path) -> None:
    file = write(trades(10), tmp_path / "day.csv")
    lines = file.read_text().splitlines()
    lines[3], lines[-1] = lines[3] + ",more", "half"
    file.write_text("\n".join(lines))
    chunks = read(file)
    assert sum(len(chunk.rows) for chunk in chunks) == 8
    assert [reject.row for chunk in chunks for reject in chunk.rejects] == [4, 11]


def test_rejects_of_the_last_chunk_of_a_merge_are_kept(tmp_path: Path) -> None:
    file = write(trades(2), tmp_path / "a.csv")
    file.write_text(file.read_text().splitlines()[0] + "\nbroken\n")
    chunks = read(file, write(quotes(2), tmp_path / "b.parquet"))
    assert [reject.code for chunk in chunks for reject in chunk.rejects] == ["ROW_UNPARSEABLE"]
    assert sum(len(chunk.rows) for chunk in chunks) == 2


@pytest.mark.parametrize("size", [0, 3, 100, 5_000])
def test_a_truncated_file_is_unreadable(tmp_path: Path, size: int) -> None:
    whole = write(trades(1_000), tmp_path / "whole.parquet")
    half = tmp_path / "half.parquet"
    half.write_bytes(whole.read_bytes()[:size])
    with pytest.raises(FeedError, match=r"half\.parquet") as raised:
        read(half)
    assert raised.value.code == "FEED_FILE_UNREADABLE"
    assert count_rows([whole, half]) == 1_000


def test_files_of_a_folder_are_found_by_name(tmp_path: Path) -> None:
    with pytest.raises(FeedError) as raised:
        find_files(tmp_path)
    assert raised.value.code == "FEED_FILE_MISSING"
    second, first = write(trades(1), tmp_path / "b.csv"), write(trades(1), tmp_path / "a.parquet")
    (tmp_path / "notes.txt").write_text("x")
    assert find_files(tmp_path) == [first, second]
    with pytest.raises(FeedError) as raised:
        read(tmp_path / "notes.txt")
    assert raised.value.code == "FEED_FILE_UNREADABLE"


def test_the_rows_of_a_csv_file_are_estimated(tmp_path: Path) -> None:
    assert count_rows([write(trades(5_000), tmp_path / "day.csv")]) == pytest.approx(5_000, rel=0.05)
