"""The status page of a streaming worker, fetched over HTTP or from the file it leaves behind, as typed figures."""

import contextlib
import http.client
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FETCH_TIMEOUT_S = 1.0
SINK = "sink-"
STARTING = "starting"


@dataclass(frozen=True, slots=True)
class Page:
    """One status page. `raw` is the page as received; the rest is what people and the supervisor look at."""

    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Return starting, ready, draining, quiet, stopped or failed."""
        return str(self.raw.get("state", STARTING))

    @property
    def ticks(self) -> int:
        """Return the ticks that the feed has delivered."""
        return int(self.feed.get("ticks") or 0)

    @property
    def feed(self) -> dict[str, Any]:
        """Return the feed's part of the page."""
        return dict(self.raw.get("feed") or {})

    @property
    def fraction(self) -> float | None:
        """Return how much of a finite feed has been delivered, 0 to 1."""
        share = self.feed.get("fraction")
        return None if share is None else float(share)

    @property
    def lags(self) -> dict[str, int]:
        """Return consumer group -> messages not yet committed."""
        return {name: int(group["lag"]) for name, group in (self.raw.get("groups") or {}).items()}

    @property
    def pending_rows(self) -> int:
        """Return the rows that sinks hold and have not committed to the lake."""
        return sum(int(part.get("pending_rows") or 0) for parts in self._sinks().values() for part in parts.values())

    @property
    def table_rows(self) -> dict[str, int]:
        """Return lake sink -> rows committed."""
        return {name: sum(int(p.get("rows") or 0) for p in parts.values()) for name, parts in self._sinks().items()}

    @property
    def dead_letters(self) -> int:
        """Return the refused messages, all time."""
        parts = (self.raw.get("topics") or {}).get("deadletter", {})
        return sum(int(part["end"]) for part in parts.values())

    @property
    def drained(self) -> bool:
        """Tell whether a finite feed has ended and everything is in the lake."""
        return self.ended and not any(self.lags.values()) and self.pending_rows == 0

    @property
    def ended(self) -> bool:
        """Tell whether a finite feed has ended and only the sinks have work left, which a stop makes them finish."""
        late = (lag for name, lag in self.lags.items() if not name.startswith(SINK))
        return self.state != STARTING and bool(self.feed.get("drained")) and not any(late)

    @property
    def error(self) -> str | None:
        """Return the worker's own account of why it cannot go on."""
        error = self.raw.get("error")
        return f"{error['code']}: {error['message']}" if error else None

    def _sinks(self) -> dict[str, dict[str, dict[str, Any]]]:
        return {name: parts for name, parts in (self.raw.get("flows") or {}).items() if name.startswith(SINK)}


def fetch(host: str, port: int, within_s: float = FETCH_TIMEOUT_S) -> Page | None:
    """Return the worker's status page, or None if nothing answers."""
    connection = http.client.HTTPConnection(host, port, timeout=within_s)
    try:
        connection.request("GET", "/status")
        return _page(connection.getresponse().read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def read(file: Path) -> Page | None:
    """Return the page that a worker has left in a file, or None."""
    with contextlib.suppress(OSError):
        return _page(file.read_bytes())
    return None


def _page(body: bytes) -> Page | None:
    try:
        raw = json.loads(body)
    except ValueError:
        return None
    return Page(raw) if isinstance(raw, dict) and "state" in raw else None
