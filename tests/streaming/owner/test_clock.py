"""The feed owns the time."""

import time

import pytest

from streaming.owner.clock import EventClock, WallClock, clock_of
from streaming.settings import FeedSettings


@pytest.mark.parametrize(
    ("feed", "kind"),
    [
        (FeedSettings(), WallClock),
        (FeedSettings(rate=0), EventClock),
        (FeedSettings(source="replay:x.parquet"), EventClock),
    ],
)
def test_the_feed_says_which_clock(feed: FeedSettings, kind: type) -> None:
    assert isinstance(clock_of(feed), kind)


def test_event_time_goes_only_forward() -> None:
    clock = EventClock()
    clock.advance(5)
    clock.advance(3)
    assert clock.now_ns() == 5


def test_the_wall_does_not_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WallClock()
    first = clock.now_ns()
    clock.advance(first + 10**18)
    monkeypatch.setattr(time, "time_ns", lambda: first - 10**9)
    assert clock.now_ns() == first
