"""The data folder is found when a body runs; the page says how far a session is."""

from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.commands.overview import announced
from orchestration.home import FRESH_S, Home
from tests.orchestration.lakes import DAY, fill, status
from tests.orchestration.pages import left_behind, served

NOBODY = 1


def test_it_is_told_or_in_the_environment_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRADE_HOME", raising=False)
    assert Home().path() == tmp_path / "var"
    monkeypatch.setenv("TRADE_HOME", str(tmp_path / "elsewhere"))
    assert Home().path() == tmp_path / "elsewhere"
    assert Home(root=str(tmp_path / "told")).path() == tmp_path / "told"


def test_the_port_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(tmp_path, {"state": "ready", "pid": 7})
    with served({"state": "draining", "pid": 7}) as port:
        monkeypatch.setenv("TRADE_HTTP__PORT", str(port))
        page, live = Home(root=str(tmp_path)).page()
    assert live
    assert page is not None
    assert page.state == "draining"


def test_who_answers_there_for_another_data_folder_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(tmp_path, {"state": "stopped", "pid": 6})
    with served({"state": "ready", "pid": 7}) as port:
        monkeypatch.setenv("TRADE_HTTP__PORT", str(port))
        page, live = Home(root=str(tmp_path)).page()
    assert not live
    assert page is not None
    assert page.state == "stopped"


def test_a_running_platform_of_two_processes_is_one_page(tmp_path: Path) -> None:
    pages = ({"state": "ready", "roles": ["orders"]}, {"state": "ready", "roles": ["x"]})
    with served(pages[0]) as first, served(pages[1]) as other:
        with_both = announced(tmp_path, [("127.0.0.1", first), ("127.0.0.1", other)], {})
        with with_both:
            page, live = Home(root=str(tmp_path)).page()
    assert live
    assert page is not None
    assert page.raw["roles"] == ["orders", "x"]


def test_a_page_on_disk_is_not_live(tmp_path: Path) -> None:
    home = Home(root=str(tmp_path), port=NOBODY)
    assert home.page() == (None, False)
    left_behind(tmp_path, {"state": "stopped"})
    page, live = home.page()
    assert (page is not None, live) == (True, False)


def test_how_far_a_session_is(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    assert Home(root=str(tmp_path), port=NOBODY).progress(DAY) == (True, False)
    with served(status(lake, drained=False)) as port:
        assert Home(root=str(tmp_path), port=port).progress(DAY) == (False, False)
        assert Home(root=str(tmp_path), port=port).progress(DAY - timedelta(days=1)) == (True, False)
    page = status(lake)
    page["groups"]["sink-ticks"]["lag"] = 0
    with served(page) as port:
        assert Home(root=str(tmp_path), port=port).progress(DAY) == (True, True)


def test_freshness_is_judged_only_while_a_feed_runs(tmp_path: Path) -> None:
    page = status(fill(tmp_path), drained=False)
    page["feed"]["clock_ns"] += int(FRESH_S + 1) * 10**9
    with served(page) as port:
        assert not Home(root=str(tmp_path), port=port).freshness().passed
    assert Home(root=str(tmp_path), port=NOBODY).freshness().passed


def test_the_venue_is_that_of_the_feed(tmp_path: Path) -> None:
    home = Home(root=str(tmp_path), port=NOBODY)
    assert home.venue() == "%"
    left_behind(tmp_path, {"state": "stopped", "feed": {"venue": "US"}})
    assert home.venue() == "US"
