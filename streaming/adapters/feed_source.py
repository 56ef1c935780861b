"""From the text of `feed.source` to a feed: `sim`, or `replay:FILE[?speed=N&venue=V&feed=NAME]`."""

from pathlib import Path
from urllib.parse import parse_qsl

from streaming.adapters.feed import Feed, FeedError
from streaming.adapters.feed_replay import ReplayFeed
from streaming.adapters.feed_sim import SimFeed
from streaming.settings import FeedSettings

REPLAY = "replay:"
REPLAY_OPTIONS = ("speed", "venue", "feed")


def open_feed(settings: FeedSettings) -> Feed:
    """Return the feed that the settings name; raise `FeedError` when it cannot exist."""
    if settings.source == "sim":
        return SimFeed(settings)
    if settings.source.startswith(REPLAY):
        return _open_replay(settings)
    raise FeedError("FEED_SOURCE_UNKNOWN", f"feed.source {settings.source!r}: use sim or replay:FILE")


def _open_replay(settings: FeedSettings) -> Feed:
    text, _, query = settings.source.removeprefix(REPLAY).partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for key in options:
        if key not in REPLAY_OPTIONS:
            raise FeedError(
                "FEED_OPTION_UNKNOWN", f"{settings.source}: option {key!r}; known: {', '.join(REPLAY_OPTIONS)}"
            )
    speed = _speed(options["speed"], settings.source) if "speed" in options else settings.speed
    path = Path(text).expanduser()
    if not path.exists():
        raise FeedError("FEED_FILE_MISSING", f"{path}: no such file or folder")
    if (path / "_delta_log").is_dir():
        # Late, because only this door needs the lake's libraries.
        from streaming.adapters.feed_capture import CaptureFeed

        return CaptureFeed(path, speed=speed, feed=options.get("feed"))
    return ReplayFeed(path, settings, speed=speed, venue=options.get("venue", "US"))


def _speed(text: str, source: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed < float("inf"):
        raise FeedError("FEED_OPTION_INVALID", f"{source}: speed {text!r} must be a number; 0 is as fast as possible")
    return speed
