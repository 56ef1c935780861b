"""The data folder as a Dagster resource. It is resolved when a body runs, never at import."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg

from orchestration.checks import NS_PER_S, Finding, fresh
from orchestration.commands import overview
from orchestration.commands.page import Page
from orchestration.lake_io import LakeIO
from streaming.adapters.lake import Lake
from trading.schemas import TICKS_V1

DEFAULT_HOME = "var"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8321
# The sinks commit each 10 s; under backlog a commit may take longer.
FRESH_S = 60.0


class Home(dg.ConfigurableResource):  # type: ignore[type-arg]  # the parameter is for what a resource hands out
    """Where the lake and the status page are. Empty fields come from the environment and from the running platform."""

    root: str = ""
    host: str = ""
    port: int = 0

    def path(self) -> Path:
        """Return the data folder."""
        return Path(self.root or os.environ.get("TRADE_HOME") or DEFAULT_HOME).absolute()

    def lake(self) -> LakeIO:
        """Open the lake."""
        return LakeIO(Lake(self.path() / "lake"))

    def page(self) -> tuple[Page | None, bool]:
        """Return the newest status page and whether the platform itself answered (else it is the last one on disk)."""
        host = self.host or os.environ.get("TRADE_HTTP__HOST") or DEFAULT_HOST
        port = self.port or int(os.environ.get("TRADE_HTTP__PORT") or DEFAULT_PORT)
        up = [] if self.port else overview.running(self.path())
        live = overview.fetch(up or [(host, port)])
        if live is not None and not (up or self.port) and not overview.is_of(self.path(), live):
            live = None
        return (live, True) if live is not None else (overview.last(self.path()), False)

    def progress(self, session: date) -> tuple[bool, bool]:
        """Tell whether the sinks hold nothing back of a session, and whether its feed has ended."""
        page, live = self.page()
        ended = page is not None and page.drained
        newest = max(self.lake().rows_by_date(TICKS_V1), default=session)
        return (not live or ended or session < newest), ended

    def venue(self) -> str:
        """Return the venue of the feed, or what matches any."""
        page, _ = self.page()
        return str((page.feed if page is not None else {}).get("venue") or "%")

    def freshness(self) -> Finding:
        """Compare the newest tick of the lake with the clock of the feed, while one runs."""
        page, live = self.page()
        clock_ns = page.feed.get("clock_ns") if page is not None and live and not page.drained else None
        if not clock_ns:
            return fresh(None, None, FRESH_S)
        # A session may be dated a day ahead of UTC; a later date is of another feed.
        until = datetime.fromtimestamp(clock_ns / NS_PER_S, UTC).date() + timedelta(days=1)
        return fresh(clock_ns, self.lake().newest_ns(TICKS_V1, until), FRESH_S)
