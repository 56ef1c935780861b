"""Bad input of every kind ends in the dead letters with its code; the process lives and every count agrees."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.journeys import evidence
from tests.journeys.faults import check_faults
from tests.streaming.worker_process import WorkerProcess

TRADES = "us_equity_trades_20131007.parquet"


async def test_every_fault_of_an_exchange_has_its_code(tmp_path: Path) -> None:
    await check_faults(tmp_path, "log://", f"log://{tmp_path}/log")


def test_rows_of_a_csv_file_that_cannot_be_read(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    file = tmp_path / "trades.csv"
    pyarrow.csv.write_csv(pq.read_table(shared_data(TRADES)).slice(0, 3_000), file)
    lines = file.read_text().splitlines()
    lines[100] = lines[100].replace("2013", "20x3", 1)
    lines[200] += ",one,two"
    lines[300] = "half a li"
    lines[400] = lines[400].replace('"SPY",', '"SPY",n/a')
    lines[500] = lines[500].replace("2013", "2014", 1)
    file.write_text("\n".join(lines) + "\n")
    home = tmp_path / "home"
    with WorkerProcess(home, "--until-drained", "--feed", f"replay:{file}") as worker:
        code, errors = worker.end()
    assert code == 0, errors
    found = evidence.codes(evidence.letters(f"log://{home}/log"))
    assert found == {"ROW_UNPARSEABLE": 4, "FROM_THE_FUTURE": 1}
    totals = evidence.reconcile(home)
    assert (totals["ticks_in"], totals["ticks_out"]) == (3_000 - 4, 3_000 - 5)
    assert evidence.final_status(home)["feed"]["unreadable_rows"] == 4


def _half(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])


def _without_price(source: Path, target: Path) -> None:
    pq.write_table(pq.read_table(source).drop_columns(["price"]), target)


@pytest.mark.parametrize(
    ("spoil", "expected"), [(_half, "FEED_FILE_UNREADABLE"), (_without_price, "FEED_COLUMN_MISSING")]
)
def test_a_file_that_cannot_be_read_ends_the_feed_and_keeps_what_is_in(
    spoil: Callable[[Path, Path], None], expected: str, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    home = tmp_path / "home"
    good = evidence.cut(shared_data(TRADES), tmp_path / "good.parquet", 0, 3_000)
    with WorkerProcess(home, "--until-drained", "--feed", f"replay:{good}") as worker:
        assert worker.end()[0] == 0
    spoil(good, tmp_path / "bad.parquet")
    with WorkerProcess(home, "--until-drained", "--feed", f"replay:{tmp_path / 'bad.parquet'}") as worker:
        code, _ = worker.end()
    page = evidence.final_status(home)
    assert code == 65
    assert page["state"] == "failed"
    assert page["error"]["code"] == expected
    assert "bad.parquet" in page["error"]["message"]
    assert evidence.codes(evidence.letters(f"log://{home}/log")) == {expected: 1}
    assert len(evidence.ticks(home)) == 3_000
