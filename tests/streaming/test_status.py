"""The status page: offsets, lag, rates, and a file that is replaced as a whole."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from streaming.status import FILE, Board
from streaming.transport.client import TopicSpec
from tests.streaming.memory_broker import MemoryBroker


async def board(home: Path, broker: MemoryBroker) -> Board:
    made = Board(home, ["sink-ticks"], "log")
    made.watch(broker, [TopicSpec("ticks", 2)], {"sink-ticks": "ticks"})
    return made


def test_processes_that_share_a_home_have_files_of_their_own(tmp_path: Path) -> None:
    for name in ("orders", "streaming"):
        Board(tmp_path, [name], "log", name).write()
    assert json.loads((tmp_path / "status" / "orders.json").read_text())["roles"] == ["orders"]
    assert json.loads((tmp_path / FILE).read_text())["roles"] == ["streaming"]


async def test_offsets_and_lag(tmp_path: Path) -> None:
    broker = MemoryBroker()
    await broker.append("ticks", 0, [(None, b"x")] * 5)
    await broker.append("ticks", 1, [(None, b"x")] * 2)
    broker.offsets["sink-ticks", "ticks", 0] = 4
    page_board = await board(tmp_path, broker)
    await page_board.refresh()
    page = page_board.page()
    assert page["topics"] == {"ticks": {"0": {"begin": 0, "end": 5}, "1": {"begin": 0, "end": 2}}}
    assert page["groups"] == {"sink-ticks": {"topic": "ticks", "committed": {"0": 4, "1": None}, "lag": 3}}
    assert page_board.lags() == {"sink-ticks": 3}


def test_the_space_on_the_disk_of_the_home(tmp_path: Path) -> None:
    disk = Board(tmp_path / "not" / "there", [], "log").page()["disk"]
    assert 0 < disk["free_bytes"] <= disk["total_bytes"] == shutil.disk_usage(tmp_path).total


async def test_offsets_are_asked_at_most_each_half_second(tmp_path: Path) -> None:
    broker = MemoryBroker()
    page_board = await board(tmp_path, broker)
    await page_board.refresh()
    await broker.append("ticks", 0, [(None, b"x")])
    await page_board.refresh()
    assert page_board.lags() == {"sink-ticks": 0}
    await page_board.refresh(force=True)
    assert page_board.lags() == {"sink-ticks": 1}


async def test_counters_are_older_than_offsets(tmp_path: Path) -> None:
    broker = MemoryBroker()
    page_board = await board(tmp_path, broker)
    drained = {"drained": False}
    page_board.feed = lambda: dict(drained)
    await page_board.refresh(force=True)
    drained["drained"] = True
    feed: Any = page_board.page()["feed"]
    assert feed == {"drained": False}


async def test_rate_and_last_tick(tmp_path: Path) -> None:
    page_board = Board(tmp_path, ["normalize"], "log")
    ticks = [0]
    page_board.flows = lambda: {"normalize": {"0": {"ticks_in": ticks[0], "last_ts_ns": 7}, "1": {"ticks_in": 1}}}
    page_board.sample()
    ticks[0] = 1_000
    page_board.sample()
    await page_board.refresh(force=True)
    page = page_board.page()
    assert page["ticks_per_s"] > 0
    assert page["last_tick_ts_ns"] == 7


async def test_without_counters_the_feed_tells(tmp_path: Path) -> None:
    page_board = Board(tmp_path, ["ingest"], "log")
    page_board.feed = lambda: {"clock_ns": 9, "ticks": 3}
    await page_board.refresh(force=True)
    page = page_board.page()
    assert (page["last_tick_ts_ns"], page["ticks_per_s"], page["flows"]) == (9, 0.0, {})


def test_the_file_is_whole_and_the_first_error_stays(tmp_path: Path) -> None:
    page_board = Board(tmp_path, ["a"], "kafka")
    page_board.fail("FIRST", "why")
    page_board.fail("SECOND", "no")
    page_board.write()
    page = json.loads((tmp_path / FILE).read_text())
    assert (page["version"], page["state"], page["pid"], page["broker"]) == (1, "failed", os.getpid(), "kafka")
    assert page["error"] == {"code": "FIRST", "message": "why"}
    assert [path.name for path in (tmp_path / FILE).parent.iterdir()] == [FILE.name]


def test_a_file_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("in the way")
    Board(tmp_path, ["a"], "log").write()
