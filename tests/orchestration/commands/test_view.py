"""What a person or a program sees of a running platform."""

import io
import json

import pytest
from rich.console import Console

from orchestration.commands.page import Page
from orchestration.commands.view import PLAIN_EVERY, JsonView, LiveView, PlainView, choose, figures
from tests.orchestration.fake_worker import PAGE

PAGES = {"dagster": "http://127.0.0.1:3000/asset-groups"}


def test_the_figures_name_feed_rate_lag_rows_and_dead_letters() -> None:
    assert figures(Page(PAGE)) == {
        "state": "ready",
        "feed": "fake (SIM), 50.0% delivered",
        "ticks": "30",
        "ticks/s": "1,234",
        "lag sink-ticks": "4",
        "rows ticks": "30",
        "dead letters": "2",
    }


def test_an_error_of_the_worker_is_in_the_figures() -> None:
    page = Page({"state": "failed", "error": {"code": "DISK_FULL", "message": "no space"}})
    assert figures(page)["state"] == "failed: DISK_FULL: no space"


def test_plain_lines_come_every_few_turns(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView()
    view.addresses(PAGES)
    for _ in range(2 * PLAIN_EVERY):
        view.refresh(Page(PAGE))
    view.refresh(None)
    view.note("done")
    view.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("/asset-groups")
    assert [line.startswith("state ready") for line in lines[1:-1]] == [True, True]
    assert lines[-1] == "done"


def test_json_lines_can_be_read_by_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonView()
    view.addresses(PAGES)
    view.refresh(Page(PAGE))
    view.refresh(None)
    view.note("done", process="worker")
    view.close()
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["addresses", "status", "note"]
    assert events[1]["page"] == PAGE
    assert events[2]["process"] == "worker"


def test_the_live_table_shows_figures_and_a_bar() -> None:
    screen = io.StringIO()
    view = LiveView(Console(file=screen, force_terminal=True, width=100))
    view.addresses(PAGES)
    view.refresh(None)
    view.refresh(Page(PAGE))
    view.note("[worker] crashed")
    view.close()
    text = screen.getvalue()
    assert "starting" in text
    assert "1,234" in text
    assert "━" in text
    assert "[worker] crashed" in text


def test_the_view_fits_where_it_is_shown() -> None:
    assert isinstance(choose(as_json=True, plain=True), JsonView)
    assert isinstance(choose(as_json=False, plain=True), PlainView)
    assert isinstance(choose(as_json=False, plain=False), PlainView)
