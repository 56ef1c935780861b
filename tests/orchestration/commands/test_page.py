"""The status page as figures."""

import json
from pathlib import Path

import pytest

from orchestration.commands import page as pages
from orchestration.commands.page import Page
from tests.orchestration.fake_worker import DRAINED, PAGE, serve


def test_the_figures_of_a_page() -> None:
    page = Page(PAGE)
    assert page.state == "ready"
    assert page.ticks == 30
    assert page.fraction == 0.5
    assert page.lags == {"sink-ticks": 4}
    assert page.pending_rows == 5
    assert page.table_rows == {"sink-ticks": 30}
    assert page.dead_letters == 2
    assert page.error is None


def test_an_empty_page_is_a_worker_that_starts() -> None:
    page = Page({})
    assert (page.state, page.ticks, page.fraction, page.lags, page.dead_letters) == ("starting", 0, None, {}, 0)
    assert not page.drained


def test_an_error_is_shown_with_its_code() -> None:
    assert (
        Page({"state": "failed", "error": {"code": "DISK_FULL", "message": "no space"}}).error == "DISK_FULL: no space"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"feed": {"drained": False}},
        {"groups": {"sink-bars": {"lag": 1}}},
        {"flows": {"sink-ticks": {"0": {"pending_rows": 1}}}},
    ],
)
def test_drained_needs_the_feed_the_groups_and_the_sinks(change: dict[str, object]) -> None:
    assert Page(DRAINED).drained
    assert not Page(DRAINED | change).drained


def test_a_feed_has_ended_when_only_sinks_have_work_left() -> None:
    late = {"sink-ticks": {"topic": "ticks", "lag": 3}}
    assert Page(DRAINED | {"groups": late}).ended
    assert not Page(DRAINED | {"groups": late | {"normalize": {"topic": "ticks.raw", "lag": 1}}}).ended
    assert not Page(PAGE).ended
    assert not Page(DRAINED | {"state": "starting"}).ended


def test_fetch_reads_a_served_page(free_port: int) -> None:
    serve(free_port, PAGE)
    page = pages.fetch("127.0.0.1", free_port)
    assert page is not None
    assert page.raw == PAGE


def test_fetch_of_nothing_is_none(free_port: int) -> None:
    assert pages.fetch("127.0.0.1", free_port) is None


@pytest.mark.parametrize("body", ["", "{", "[]", "{}"])
def test_a_half_written_last_page_is_none(tmp_path: Path, body: str) -> None:
    (tmp_path / "page.json").write_text(body)
    assert pages.read(tmp_path / "page.json") is None


def test_the_last_page_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "page.json"
    assert pages.read(file) is None
    file.write_text(json.dumps(PAGE))
    assert pages.read(file) == Page(PAGE)
