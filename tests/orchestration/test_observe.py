"""The status page as figures, whatever part of it is missing."""

from typing import Any

from orchestration.observe import Cursor, feed_figures, iso, topic_ends, topic_figures

PAGE: dict[str, Any] = {
    "state": "ready",
    "feed": {"name": "sim", "venue": "SIM", "drained": False, "clock_ns": 1_700_000_000_500_000_000, "ticks": 5},
    "topics": {"ticks": {"0": {"begin": 0, "end": 40}, "1": {"begin": 0, "end": 60}}},
    "groups": {
        "sink-ticks": {"topic": "ticks", "lag": 3},
        "watch": {"topic": "ticks", "lag": 9},
        "x": {"topic": "bars"},
    },
    "ticks_per_s": 1_500,
}


def test_the_lag_of_a_topic_is_that_of_its_slowest_group() -> None:
    figures = topic_figures(PAGE, "ticks", Cursor(at_s=90.0, ends={"ticks": 50}), now_s=100.0)
    assert figures == {
        "offset": 100,
        "lag": 9,
        "lag/sink-ticks": 3,
        "lag/watch": 9,
        "messages_per_s": 5.0,
        "ticks_per_s": 1500.0,
    }


def test_a_topic_that_was_recreated_has_no_negative_rate() -> None:
    assert topic_figures(PAGE, "ticks", Cursor(1.0, {"ticks": 500}), 2.0)["messages_per_s"] == 0.0


def test_an_empty_page_gives_zeros() -> None:
    assert topic_ends({}) == {}
    assert topic_figures({}, "ticks", Cursor(), 5.0) == {"offset": 0, "lag": 0}
    assert feed_figures({}) == {"state": "unknown", "drained": "false"}


def test_the_feed() -> None:
    assert feed_figures(PAGE)["clock"] == "2023-11-14T22:13:20.500+00:00"
    assert feed_figures(PAGE)["drained"] == "false"
    assert iso(2**62 * 100) == f"{2**62 * 100} ns"


def test_a_cursor_survives_its_text() -> None:
    cursor = Cursor(1.5, {"ticks": 3}, {"ticks_v1": 7})
    assert Cursor.load(cursor.dump()) == cursor
    assert Cursor.load("nonsense") == Cursor.load(None) == Cursor()
