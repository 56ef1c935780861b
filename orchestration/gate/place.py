"""A platform of the gate's own: one worker with the whole order path, in a home that is deleted afterwards."""

import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestration.commands import overview
from orchestration.commands.account import last_words
from orchestration.commands.failure import CommandError
from orchestration.gate.site import Site, read_keys, until
from orchestration.processes import Child, Command

ROLES = (
    *("ingest", "normalize", "orders", "route"),
    *("sink-ticks", "sink-bars", "sink-journal"),
)
ACCOUNTS = 64
FEED_RATE = 200
LINGER_MS = 50
SINK_S = 2
START_S = 60.0
STOP_S = 90.0


@contextlib.contextmanager
def platform(broker: str, config: Path | None) -> Iterator[tuple[Site, Callable[[], int]]]:
    """Start a platform; yield it and what stops it and returns its exit code. Raises `CommandError`."""
    home = Path(tempfile.mkdtemp(prefix="trade-gate-"))
    child = Child(_command(home, broker, config))
    try:
        yield _ready(child, home), lambda: child.stop(STOP_S, lambda: False)
    finally:
        child.stop(STOP_S, lambda: False)
        shutil.rmtree(home, ignore_errors=True)


def _command(home: Path, broker: str, config: Path | None) -> Command:
    run = home.name.rpartition("-")[2]
    settings = {
        "TRADE_HOME": str(home),
        "TRADE_BROKER": broker,
        "TRADE_HTTP__PORT": "0",
        "TRADE_FEED__SOURCE": "sim",
        "TRADE_FEED__RATE": str(FEED_RATE),
        "TRADE_FEED__LINGER_MS": str(LINGER_MS),
        "TRADE_SINK__MAX_SECONDS": str(SINK_S),
        "TRADE_API__ACCOUNTS": json.dumps([f"gate-{run}-{number}" for number in range(ACCOUNTS)]),
    }
    more = ("--config", str(config)) if config else ()
    argv = (sys.executable, "-m", "streaming.worker", "--roles", ",".join(ROLES), *more)
    return Command("worker", argv, settings, home / "logs" / "worker.log")


def _ready(child: Child, home: Path) -> Site:
    def over() -> bool:
        page = overview.last(home)
        return child.poll() is not None or (page is not None and page.state == "ready")

    if not until(over, START_S) or child.poll() is not None:
        code = child.poll()
        words = f"it was not ready within {START_S:.0f} s" if code is None else last_words(child, code)
        raise CommandError("GATE_PLATFORM_FAILED", f"the platform did not start: {words}")
    page = overview.last(home)
    assert page is not None, "it was there a moment ago"
    address = page.raw["http"]
    return Site(address["host"], address["port"], home, read_keys(home))
