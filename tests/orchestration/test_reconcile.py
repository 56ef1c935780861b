"""The account agrees on a sound run, by both oracles, and each disagreement is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.lake_io import LakeIO
from orchestration.reconcile import reconcile
from streaming.adapters.lake import Lake
from tests.orchestration.lakes import DAY, append, bars, fill, status, table_of, ticks
from trading.schemas import BARS_V1, TICKS_V1

Page = dict[str, Any]


def test_a_sound_run_reconciles(tmp_path: Path) -> None:
    lake = fill(tmp_path, [DAY, DAY.replace(day=6)])
    report = reconcile(LakeIO(lake), status(lake))
    assert report["mismatches"] == []
    assert report["reconciled"]
    assert report["ticks"]["ticks_in"] == lake.rows(TICKS_V1) + 5
    assert report["tables"]["ticks_v1"]["normaliser"] == report["tables"]["ticks_v1"]["rows_in_ranges"]
    assert report["bars"]["duckdb"] == report["bars"]["batch"] == {"equal": lake.rows(BARS_V1)}
    assert report["bars"]["days"] == ["2024-03-05", "2024-03-06"]


def test_an_empty_home_reconciles(tmp_path: Path) -> None:
    assert reconcile(LakeIO(Lake(tmp_path)), {})["reconciled"]


def _counter(name: str, step: int) -> Callable[[Lake, Page], None]:
    def change(_: Lake, page: Page) -> None:
        page["flows"]["normalize"]["0"][name] += step

    return change


def _topic_end(_: Lake, page: Page) -> None:
    page["topics"]["ticks"]["0"]["end"] += 1


def _journal_end(_: Lake, page: Page) -> None:
    page["topics"]["orders.journal"] = {"1": {"begin": 0, "end": 3}}


def _gap(lake: Lake, page: Page) -> None:
    rows = [row | {"src_offset": 5_000} for row in ticks()[:1]]
    append(lake, TICKS_V1, "ticks", rows, commits=1, first=10_000)


def _unaccounted(lake: Lake, page: Page) -> None:
    lake.append(TICKS_V1, table_of(TICKS_V1, [row | {"src_offset": 5_000} for row in ticks()[:1]]))


def _wrong_bar(lake: Lake, page: Page) -> None:
    wrong = bars(ticks())[0] | {"revision": 1, "close": 1.5, "src_offset": 9_999}
    append(lake, BARS_V1, "bars", [wrong], commits=1, first=10_000)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (_counter("ticks_in", 1), "ticks in "),
        (_counter("rejected", 1), "out + rejected + duplicates"),
        (_counter("ticks_out", 1), "ticks_v1: 464 rows, the normaliser wrote 465"),
        (_counter("bars", -1), "bars_v1: 56 rows, the normaliser wrote 55"),
        (_topic_end, "ticks_v1: ticks-0 taken to offset"),
        (_journal_end, "journal_v1: orders.journal-1 taken to offset 0 of 3"),
        (_journal_end, "positions_v1: orders.journal-1 taken to offset 0 of 3"),
        (_gap, "gap"),
        (_unaccounted, "ticks_v1: 465 rows, 464 in the offset ranges"),
        (_wrong_bar, "bars of 2024-03-05 by batch: BTC-USD.SIM 1m 2024-03-05 14:30:00 differs"),
        (_wrong_bar, "bars of 2024-03-05 by duckdb"),
    ],
)
def test_a_disagreement_is_named(tmp_path: Path, fault: Callable[[Lake, Page], None], words: str) -> None:
    lake = fill(tmp_path)
    page = status(lake)
    fault(lake, page)
    report = reconcile(LakeIO(lake), page)
    assert not report["reconciled"]
    assert any(words in line for line in report["mismatches"]), report["mismatches"]
