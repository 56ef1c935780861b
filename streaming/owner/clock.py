"""The desk's clock. The feed owns the time: the wall for live and simulated feeds, event time for a replay."""

import time
from typing import Protocol

from streaming.settings import FeedSettings


class Clock(Protocol):
    """Time in ns that never goes back."""

    def now_ns(self) -> int:
        """Return the time."""

    def advance(self, ts_ns: int) -> None:
        """Hear of a time that has certainly come."""


class WallClock:
    """The wall, held still while it is set back."""

    def __init__(self) -> None:
        self._last_ns = 0

    def now_ns(self) -> int:
        """Return the time."""
        self._last_ns = max(self._last_ns, time.time_ns())
        return self._last_ns

    def advance(self, ts_ns: int) -> None:
        """Need nothing: the wall goes by itself."""


class EventClock:
    """The newest event time that was heard of."""

    def __init__(self) -> None:
        self._now_ns = 0

    def now_ns(self) -> int:
        """Return the time."""
        return self._now_ns

    def advance(self, ts_ns: int) -> None:
        """Go on to `ts_ns`; an older time changes nothing."""
        self._now_ns = max(self._now_ns, ts_ns)


def clock_of(feed: FeedSettings) -> Clock:
    """Return the clock that a feed implies; a simulation at rate 0 runs in virtual time."""
    if feed.source.startswith("replay:") or feed.rate == 0:
        return EventClock()
    return WallClock()
