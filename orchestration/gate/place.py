"""A platform of the gate's own, started as `trade up` starts one, in a home that is deleted afterwards."""

import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.commands import overview
from orchestration.commands.account import last_error
from orchestration.commands.failure import CommandError
from orchestration.commands.up import DAGSTER_GRACE_S, WORKER_GRACE_S
from orchestration.gate.site import Site, read_keys, until
from orchestration.processes import Child, Command

ACCOUNTS = 64
FEED_RATE = 200
LINGER_MS = 50
START_S = 60.0
# What it takes itself at most, so that this one only ends a supervisor that hangs.
STOP_S = 2 * WORKER_GRACE_S + DAGSTER_GRACE_S
FREE_PORTS = ("TRADE_HTTP__PORT", "TRADE_UP__PORT", "TRADE_UP__MARKET_PORT")


@dataclass(frozen=True, slots=True)
class Own:
    """The platform, and the supervisor that has started it."""

    site: Site
    supervisor: Child

    def restarts(self) -> dict[str, int]:
        """Return how often each process was started again, by name; raise `CommandError` if that cannot be told."""
        address = overview.supervisor(self.site.home)
        page: Any = Site(*address, self.site.home, ()).call("GET", "/status").body if address else {}
        if "processes" not in page:
            raise CommandError("NO_SUPERVISOR", "`trade up` does not tell how its processes are")
        return {each["name"]: int(each["restarts"]) for each in page["processes"]}

    def stop(self) -> int:
        """Stop everything; return the exit code."""
        return self.supervisor.stop(STOP_S, lambda: False)


@contextlib.contextmanager
def platform(broker: str, config: Path | None) -> Iterator[Own]:
    """Start a platform; yield it. Raises `CommandError`."""
    home = Path(tempfile.mkdtemp(prefix="trade-gate-"))
    child = Child(_command(home, broker, config))
    try:
        yield Own(_ready(child, home), child)
    finally:
        child.stop(STOP_S, lambda: False)
        shutil.rmtree(home, ignore_errors=True)


def _command(home: Path, broker: str, config: Path | None) -> Command:
    run = home.name.rpartition("-")[2]
    accounts = [f"gate-{run}-{number}" for number in range(ACCOUNTS)]
    settings = dict.fromkeys(FREE_PORTS, "0") | {
        "TRADE_HOME": str(home),
        "TRADE_BROKER": broker,
        "TRADE_FEED__SOURCE": "sim",
        "TRADE_FEED__RATE": str(FEED_RATE),
        "TRADE_FEED__LINGER_MS": str(LINGER_MS),
        "TRADE_API__ACCOUNTS": json.dumps(accounts),
        "TRADE_STRATEGY__ACCOUNT": accounts[0],
    }
    more = ("--config", str(config)) if config else ()
    argv = (sys.executable, "-m", "orchestration", "up", "--no-dagster", *more)
    return Command("up", argv, settings, home / "logs" / "up.log")


def _ready(child: Child, home: Path) -> Site:
    def over() -> bool:
        page = overview.fetch(overview.running(home))
        return child.poll() is not None or (page is not None and page.state == "ready")

    if not until(over, START_S) or child.poll() is not None:
        how = f"was not ready within {START_S:.0f} s" if child.poll() is None else "ended"
        logs = sorted((home / "logs").glob("*.log"))
        words = "; ".join(f"{log.stem}: {last}" for log in logs if (last := last_error(log, 0)))
        raise CommandError("GATE_PLATFORM_FAILED", f"the platform {how}: {words}")
    first, *beside = overview.running(home)
    return Site(*first, home, read_keys(home), tuple(beside))
