"""The same journeys on a real Apache Kafka: all prints arrive once, and a killed process loses and doubles nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys import evidence, kills
from tests.journeys.faults import check_faults
from tests.kafka_node import KafkaNode

TRADES = "us_equity_trades_20131007.parquet"
ROWS = 100_000

pytestmark = pytest.mark.kafka


def test_prints_arrive_once_in_spite_of_kills(
    own_node: KafkaNode, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    file = evidence.cut(shared_data(TRADES), tmp_path / "day.parquet", 0, ROWS)
    home = tmp_path / "home"
    kills.sweep(home, file, 3, broker=own_node.url)
    totals = evidence.reconcile(home)
    assert totals["ticks_in"] == totals["ticks_out"] == ROWS
    assert evidence.duplicate_rows(home) == 0
    for interval in ("1m", "1h", "1d"):
        assert evidence.bars(home, interval) == evidence.bars_of_file(file, interval), interval


@pytest.mark.soak
async def test_every_fault_of_an_exchange_has_its_code(own_node: KafkaNode, tmp_path: Path) -> None:
    await check_faults(tmp_path / "home", own_node.url, own_node.url)


@pytest.mark.soak
def test_a_whole_real_day(own_node: KafkaNode, tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    file = shared_data(TRADES)
    kills.undisturbed(tmp_path / "home", file, speed=0, broker=own_node.url)
    assert evidence.reconcile(tmp_path / "home")["ticks_out"] == 388_417
    for interval in ("1m", "1h", "1d"):
        assert evidence.bars(tmp_path / "home", interval) == evidence.bars_of_file(file, interval), interval
