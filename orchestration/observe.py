"""What the status page says about each topic, as figures to record beside the topic's asset. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Figure = int | float | str


@dataclass(frozen=True, slots=True)
class Cursor:
    """What the last look saw: when, the end of each topic, and the Delta version of each table."""

    at_s: float = 0.0
    ends: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)

    def dump(self) -> str:
        """Return the cursor as text."""
        return json.dumps({"at_s": self.at_s, "ends": dict(self.ends), "versions": dict(self.versions)})

    @classmethod
    def load(cls, text: str | None) -> "Cursor":
        """Read a cursor; an absent or unreadable one means that nothing was seen yet."""
        try:
            values = json.loads(text or "{}")
            return cls(float(values["at_s"]), dict(values["ends"]), dict(values["versions"]))
        except (ValueError, KeyError, TypeError):
            return cls()


def topic_ends(page: Mapping[str, Any]) -> dict[str, int]:
    """Return topic -> sum of the end offsets of its partitions."""
    topics: Mapping[str, Mapping[str, Mapping[str, Any]]] = page.get("topics") or {}
    return {name: sum(int(part.get("end") or 0) for part in parts.values()) for name, parts in topics.items()}


def topic_figures(page: Mapping[str, Any], topic: str, before: Cursor, now_s: float) -> dict[str, Figure]:
    """Return offset, lag, rates and last tick of one topic. Lag is that of its slowest group."""
    end = topic_ends(page).get(topic, 0)
    groups: Mapping[str, Mapping[str, Any]] = page.get("groups") or {}
    lags = {name: int(group.get("lag") or 0) for name, group in groups.items() if group.get("topic") == topic}
    figures: dict[str, Figure] = {"offset": end, "lag": max(lags.values(), default=0)}
    figures |= {f"lag/{name}": lag for name, lag in lags.items()}
    elapsed_s = now_s - before.at_s
    if topic in before.ends and elapsed_s > 0:
        figures["messages_per_s"] = round(max(0, end - before.ends[topic]) / elapsed_s, 3)
    if page.get("ticks_per_s") is not None:
        figures["ticks_per_s"] = float(page["ticks_per_s"])
    newest = page.get("last_tick_ts_ns")
    if newest:
        figures["last_tick"] = iso(int(newest))
    return figures


def feed_figures(page: Mapping[str, Any]) -> dict[str, Figure]:
    """Return what the feed says of itself."""
    feed: Mapping[str, Any] = page.get("feed") or {}
    names = ("name", "venue", "frames", "ticks", "fraction")
    figures: dict[str, Figure] = {name: feed[name] for name in names if feed.get(name) is not None}
    figures["state"] = str(page.get("state", "unknown"))
    figures["drained"] = str(bool(feed.get("drained"))).lower()
    if feed.get("clock_ns"):
        figures["clock"] = iso(int(feed["clock_ns"]))
    return figures


def iso(ts_ns: int) -> str:
    """Return UTC nanoseconds as ISO text to the millisecond."""
    try:
        return datetime.fromtimestamp(ts_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return f"{ts_ns} ns"
