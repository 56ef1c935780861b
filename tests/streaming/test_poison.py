"""The poison file counts failures in a row and survives what may happen to it."""

from pathlib import Path

from streaming.poison import PoisonFile, blames_record
from streaming.transport.client import BrokerError
from tests.streaming.probe_flow import DiskFullError

KEY = "role/topic/0"


def test_failures_count_only_in_a_row_of_the_same_records(tmp_path: Path) -> None:
    file = PoisonFile(tmp_path / "state" / "poison.json")
    assert file.failed(KEY, 0, 9, ValueError("x")).failures == 1
    assert file.failed(KEY, 4, 4, ValueError("x")).failures == 2
    assert file.failed(KEY, 5, 5, ValueError("x")).failures == 1
    assert file.get("role/topic/1") is None


def test_the_third_failure_of_one_record_condemns_it(tmp_path: Path) -> None:
    file = PoisonFile(tmp_path / "poison.json")
    for _ in range(3):
        suspect = file.failed(KEY, 7, 7, ValueError("x"))
    assert suspect.condemns(7)
    assert not suspect.condemns(8)
    assert file.lettered(KEY, suspect).lettered
    file.passed(KEY)
    assert file.get(KEY) is None


def test_a_range_is_never_condemned(tmp_path: Path) -> None:
    file = PoisonFile(tmp_path / "poison.json")
    for _ in range(5):
        suspect = file.failed(KEY, 0, 3, ValueError("x"))
    assert not suspect.condemns(0)


def test_a_torn_file_holds_no_suspects(tmp_path: Path) -> None:
    path = tmp_path / "poison.json"
    path.write_bytes(b'{"role/to')
    assert PoisonFile(path).get(KEY) is None
    assert PoisonFile(path).failed(KEY, 1, 1, ValueError("x" * 9_999)).error.startswith("ValueError: xxx")
    assert len(path.read_bytes()) < 1_000


def test_the_broker_and_the_machine_are_not_the_records_fault() -> None:
    assert blames_record(ValueError())
    assert not any(map(blames_record, (BrokerError("X", "x"), OSError(), MemoryError(), DiskFullError())))
