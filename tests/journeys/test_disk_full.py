"""A full disk: the writer stops, says so where people look, goes on when there is space, and nothing is lost."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys import evidence
from tests.streaming.poll import until_sync
from tests.streaming.worker_process import WorkerProcess

TRADES = "us_equity_trades_20131007.parquet"
SIZE_MB = 96
LEFT_BYTES = 6 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a file system of its own; skip where this process may not mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("no mount command here")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, left_bytes: int) -> Path:
    """Take the space of a disk but for a rest; return the file that holds it."""
    filler = folder / "filler"
    free = shutil.disk_usage(folder).free
    with filler.open("wb") as file:
        for _ in range((free - left_bytes) // (1 << 20)):
            file.write(bytes(1 << 20))
    return filler


def test_a_full_disk_stops_the_writer_until_there_is_space(
    small_disk: Path, tmp_path: Path, free_port: int, shared_data: Callable[[str], Path]
) -> None:
    file = evidence.cut(shared_data(TRADES), tmp_path / "day.parquet", 0, 100_000)
    home = small_disk / "home"
    filler = fill(small_disk, LEFT_BYTES)
    env = {"TRADE_HTTP__PORT": str(free_port), "TRADE_SINK__MAX_SECONDS": "0.5"}
    arguments = ("--until-drained", "--feed", f"replay:{file}")

    def waits() -> list[str]:
        page = _status(free_port)
        places = [page.get("feed") or {}, *(p for flow in page.get("flows", {}).values() for p in flow.values())]
        return [place["waiting"]["code"] for place in places if place.get("waiting")]

    with WorkerProcess(home, *arguments, env=env) as worker:
        until_sync(lambda: bool(waits()), within_s=60)
        codes = set(waits())
        filler.unlink()
        code, errors = worker.end()
    assert codes <= {"LOG_FULL", "DISK_FULL", "SNAPSHOT_FAILED"}
    assert code == 0, errors
    assert any(found in errors for found in codes)
    assert evidence.reconcile(home)["ticks_out"] == 100_000
    assert evidence.duplicate_rows(home) == 0
    assert evidence.bars(home, "1m") == evidence.bars_of_file(file, "1m")


def _status(port: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
            page: dict[str, Any] = json.loads(answer.read())
    except OSError:
        return {}
    return page
