"""Days are cleaned and checked at once, in the instance of the data folder, and a failed check is in the answer."""

import importlib.resources
from pathlib import Path

import dagster as dg
import pytest

from orchestration.catalog import table_key
from orchestration.materialize import materialize_days
from tests.orchestration.lakes import DAY, append, bars, fill, status, ticks
from tests.orchestration.pages import left_behind
from trading.schemas import BARS_V1, CLEAN_TICKS_V1


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRADE_HTTP__PORT", "1")
    (tmp_path / "dagster").mkdir()
    shipped = importlib.resources.files("orchestration").joinpath("dagster.yaml").read_bytes()
    (tmp_path / "dagster" / "dagster.yaml").write_bytes(shipped)
    return tmp_path


def test_days_are_materialised_and_checked(home: Path) -> None:
    other = DAY.replace(day=6)
    lake = fill(home, [DAY, other])
    left_behind(home, status(lake))
    found = materialize_days(home, [other, DAY])
    assert list(found) == ["bronze", DAY.isoformat(), other.isoformat()]
    assert {name for checks in found.values() for name, each in checks.items() if not each["passed"]} == set()
    assert found[DAY.isoformat()]["clean_bars_v1.bars_from_ticks"]["figures"]["equal"] == len(bars(ticks()))
    assert lake.rows_by_date(CLEAN_TICKS_V1) == {DAY: len(ticks()), other: len(ticks())}
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        days = instance.get_materialized_partitions(table_key(CLEAN_TICKS_V1))
    assert days == {DAY.isoformat(), other.isoformat()}


def test_a_failed_check_is_in_the_answer(home: Path) -> None:
    lake = fill(home)
    wrong = bars(ticks())[0] | {"revision": 1, "close": 1.5, "src_offset": 9_999}
    append(lake, BARS_V1, "bars", [wrong], commits=1, first=10_000)
    found = materialize_days(home, [DAY])
    assert not found[DAY.isoformat()]["clean_bars_v1.bars_from_ticks"]["passed"]
    assert "stored [" in found[DAY.isoformat()]["clean_bars_v1.bars_from_ticks"]["message"]
    assert not found[DAY.isoformat()]["run"]["passed"]
    assert not found["bronze"]["bars_v1.offsets"]["passed"]
