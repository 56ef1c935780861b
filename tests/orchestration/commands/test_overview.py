"""Pages of several processes become one, of those that run and of those that stopped."""

import json
from pathlib import Path
from typing import Any

from orchestration.commands import overview
from orchestration.commands.page import Page
from tests.orchestration.fake_worker import DRAINED
from tests.orchestration.pages import served

MARKET: dict[str, Any] = DRAINED | {
    "pid": 1,
    "roles": ["ingest", "normalize"],
    "ts": "2026-11-28T10:00:01.000+00:00",
    "http": {"host": "h", "port": 2},
    "topics": {"ticks": {"0": {"begin": 0, "end": 9}}},
}
ORDERS: dict[str, Any] = {
    "pid": 2,
    "roles": ["orders"],
    "state": "ready",
    "ts": "2026-11-28T10:00:00.000+00:00",
    "error": None,
    "feed": None,
    "http": {"host": "h", "port": 1},
    "topics": {"ticks": {"0": {"begin": 0, "end": 5}}},
    "groups": {"orders": {"topic": "orders.commands", "committed": {"0": 1}, "lag": 0}},
    "flows": {"orders": {"0": {"owned": True}}},
    "ticks_per_s": 0.0,
    "last_tick_ts_ns": None,
}


def leave(home: Path, name: str, page: dict[str, Any]) -> None:
    (home / "status").mkdir(exist_ok=True)
    (home / "status" / f"{name}.json").write_text(json.dumps(page))


def test_one_page_has_everything_and_the_newest_offsets() -> None:
    for order in ((MARKET, ORDERS), (ORDERS, MARKET)):
        page = overview.together([Page(raw) for raw in order])
        assert page is not None
        assert page.drained
        assert (page.ticks, set(page.lags)) == (30, {"sink-ticks", "orders"})
        assert page.raw["topics"] == MARKET["topics"]
        assert set(page.raw["flows"]) == {"sink-ticks", "orders"}
        assert page.raw["ticks_per_s"] == MARKET["ticks_per_s"]
        assert page.raw["roles"] == ["orders", "ingest", "normalize"]
        assert [each["pid"] for each in page.raw["processes"]] == [2, 1]
        assert "pid" not in page.raw
    assert overview.together([]) is None
    assert overview.together([Page(MARKET)]) == Page(MARKET)


def test_it_is_as_well_as_the_process_that_is_worst_off() -> None:
    error = {"code": "DISK_FULL", "message": "no space"}
    page = overview.together([Page(MARKET), Page(ORDERS | {"state": "failed", "error": error})])
    assert page is not None
    assert (page.state, page.error) == ("failed", "DISK_FULL: no space")


def test_lag_of_the_orders_keeps_a_feed_from_having_ended() -> None:
    late = {"orders": {"topic": "orders.commands", "lag": 1}}
    page = overview.together([Page(MARKET), Page(ORDERS | {"groups": late})])
    assert page is not None
    assert not page.ended


def test_while_one_is_silent_it_is_starting_and_has_not_ended(free_port: int) -> None:
    with served(MARKET) as market, served(ORDERS) as orders:
        whole = overview.fetch([("127.0.0.1", orders), ("127.0.0.1", market)])
        half = overview.fetch([("127.0.0.1", free_port), ("127.0.0.1", market)])
    assert whole is not None
    assert half is not None
    assert (whole.state, whole.ended) == ("ready", True)
    assert (half.state, half.ended, half.ticks) == ("starting", False, 30)
    assert overview.fetch([("127.0.0.1", free_port)]) is None


def test_what_was_left_is_one_page_of_the_processes_that_are_asked_for(tmp_path: Path) -> None:
    assert overview.last(tmp_path) is None
    leave(tmp_path, "streaming", MARKET | {"state": "stopped"})
    leave(tmp_path, "orders", ORDERS | {"state": "failed"})
    page = overview.last(tmp_path, (2, 1))
    assert page is not None
    assert page.raw["roles"] == ["orders", "ingest", "normalize"]
    assert overview.last(tmp_path) == page
    for pids in ((2, 3), (None, 1), (2, 1, 3)):
        assert overview.last(tmp_path, pids) is None, pids


def test_a_killed_process_has_left_no_last_page(tmp_path: Path) -> None:
    leave(tmp_path, "orders", ORDERS)
    assert overview.last(tmp_path, (2,)) is None
    leave(tmp_path, "orders", ORDERS | {"state": "stopped"})
    assert overview.last(tmp_path, (2,)) == Page(ORDERS | {"state": "stopped"})


def test_a_page_of_an_earlier_run_with_the_same_role_does_not_count(tmp_path: Path) -> None:
    alone = MARKET | {"roles": ["ingest", "normalize", "orders"], "pid": 7}
    leave(tmp_path, "orders", ORDERS)
    leave(tmp_path, "streaming", alone)
    assert overview.last(tmp_path) == Page(alone)
    leave(tmp_path, "streaming", alone | {"ts": "2026-11-28T09:00:00.000+00:00"})
    assert overview.last(tmp_path) == Page(ORDERS)


def test_where_they_answer_is_known_while_they_run(tmp_path: Path) -> None:
    addresses = [("127.0.0.1", 1), ("127.0.0.1", 2)]
    assert overview.running(tmp_path) == []
    assert overview.supervisor(tmp_path) is None
    with overview.announced(tmp_path, addresses, {"up": "http://127.0.0.1:3/health/ready"}):
        assert overview.running(tmp_path) == addresses
        assert overview.supervisor(tmp_path) == ("127.0.0.1", 3)
    assert overview.running(tmp_path) == []
    for text in ("", "[]", '{"host": "h"}'):
        (tmp_path / overview.RUNNING_FILE).write_text(text)
        assert overview.running(tmp_path) == []
        assert overview.supervisor(tmp_path) is None
