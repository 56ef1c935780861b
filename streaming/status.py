"""The status of a worker process: what it runs, how far each topic and group is, and what went wrong."""

import asyncio
import contextlib
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from streaming.transport.client import BrokerClient, TopicSpec

State = Literal["starting", "ready", "draining", "quiet", "stopped", "failed"]
VERSION = 1
MAX_AGE_S = 0.5
RATE_WINDOW_S = 5.0
FOLDER = Path("status")
NAME = "streaming"
FILE = FOLDER / f"{NAME}.json"

_log = structlog.get_logger("status")
FlowStats = Mapping[str, Mapping[str, Mapping[str, Any]]]


class Board:
    """Collects the status page, at most each half second.

    Counters are taken before offsets, so that a drained feed, no lag and no pending rows on one page mean the end.
    """

    def __init__(self, home: Path, roles: Sequence[str], broker: str, name: str = NAME) -> None:
        self.state: State = "starting"
        self.error: dict[str, str] | None = None
        self.http: dict[str, Any] | None = None
        self.reasons: Callable[[], list[str]] = list
        self.feed: Callable[[], Mapping[str, Any] | None] = _none
        self.flows: Callable[[], FlowStats] = dict
        self._path = home / FOLDER / f"{name}.json"
        self._head = {"version": VERSION, "pid": os.getpid(), "roles": list(roles), "broker": broker}
        self._started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._client: BrokerClient | None = None
        self._specs: Sequence[TopicSpec] = ()
        self._groups: Mapping[str, str] = {}
        self._offsets: dict[str, Any] = {"topics": {}, "groups": {}}
        self._flow_stats: FlowStats = {}
        self._feed_stats: Mapping[str, Any] | None = None
        self._asked_s = 0.0
        self._lock = asyncio.Lock()
        self._rates: deque[tuple[float, int]] = deque(maxlen=64)

    def watch(self, client: BrokerClient, specs: Sequence[TopicSpec], groups: Mapping[str, str]) -> None:
        """Follow the offsets of these topics, and of the groups (name to topic) that read them."""
        self._client, self._specs, self._groups = client, specs, groups

    def fail(self, code: str, message: str) -> None:
        """Mark the process as failed; the first error stays."""
        self.state = "failed"
        self.error = self.error or {"code": code, "message": message}

    async def refresh(self, *, force: bool = False) -> None:
        """Take the counters and ask the broker for offsets, unless that was done just now."""
        async with self._lock:
            if not force and time.monotonic() - self._asked_s < MAX_AGE_S:
                return
            self._flow_stats, self._feed_stats = self.flows(), self.feed()
            if self._client is None:
                return
            topics: dict[str, dict[str, dict[str, int]]] = {spec.name: {} for spec in self._specs}
            partitions = [(spec.name, number) for spec in self._specs for number in range(spec.partitions)]
            for (topic, number), span in (await self._client.spans(partitions)).items():
                topics[topic][str(number)] = span._asdict()
            groups = {group: await self._group(group, topic, topics[topic]) for group, topic in self._groups.items()}
            self._offsets = {"topics": topics, "groups": groups}
            self._asked_s = time.monotonic()

    def page(self) -> dict[str, Any]:
        """Return the status page as of the last refresh."""
        flows, feed = self._flow_stats, self._feed_stats
        return {
            **self._head,
            "state": self.state,
            "started_ts": self._started,
            "ts": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "error": self.error,
            "http": self.http,
            "disk": _disk(self._path),
            "feed": feed,
            **self._offsets,
            "flows": flows,
            "ticks_per_s": self._rate(),
            "last_tick_ts_ns": _last_tick(flows, feed),
        }

    def sample(self) -> None:
        """Note how many ticks there were so far, for the rate. Called about once a second."""
        self._rates.append((time.monotonic(), _ticks(self.flows(), self.feed())))

    def write(self) -> None:
        """Replace the status file. A full disk leaves the old one, and is no reason to fail."""
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(msgspec.json.format(msgspec.json.encode(self.page())))
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("status_not_written", path=str(self._path), message=str(error))
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)

    def lags(self) -> dict[str, int]:
        """Return the lag of each group as of the last refresh."""
        return {group: value["lag"] for group, value in self._offsets["groups"].items()}

    def committed(self) -> dict[str, Mapping[str, int | None]]:
        """Return the committed offsets of each group as of the last refresh."""
        return {group: value["committed"] for group, value in self._offsets["groups"].items()}

    async def _group(self, group: str, topic: str, spans: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        assert self._client is not None
        found = await self._client.all_committed(group, topic, [int(number) for number in spans])
        committed = {str(number): offset for number, offset in found.items()}
        lag = sum(max(0, span["end"] - max(committed[n] or 0, span["begin"])) for n, span in spans.items())
        return {"topic": topic, "committed": committed, "lag": lag}

    def _rate(self) -> float:
        now = time.monotonic()
        recent = [(at, ticks) for at, ticks in self._rates if now - at <= RATE_WINDOW_S]
        if len(recent) < 2 or recent[-1][0] == recent[0][0]:
            return 0.0
        return max(0.0, (recent[-1][1] - recent[0][1]) / (recent[-1][0] - recent[0][0]))


def _none() -> None:
    return None


def _disk(file: Path) -> dict[str, int] | None:
    """Return the bytes of the disk that the home is on, None if nobody can tell."""
    place = next((folder for folder in file.parents if folder.exists()), file)
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return None
    return {"free_bytes": usage.free, "total_bytes": usage.total}


def _ticks(flows: FlowStats, feed: Mapping[str, Any] | None) -> int:
    counted = [int(stats["ticks_in"]) for lanes in flows.values() for stats in lanes.values() if "ticks_in" in stats]
    return sum(counted) if counted else int((feed or {}).get("ticks", 0))


def _last_tick(flows: FlowStats, feed: Mapping[str, Any] | None) -> int | None:
    seen = [int(stats.get("last_ts_ns") or 0) for lanes in flows.values() for stats in lanes.values()]
    newest = max(seen, default=0) or int((feed or {}).get("clock_ns") or 0)
    return newest or None
