"""Component checks: configuration, roles, broker, lake, API, Dagster definitions and clock. No order is sent."""

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from time import time_ns
from typing import Any

from orchestration.checks import NS_PER_S, Finding
from orchestration.commands.failure import CommandError
from orchestration.gate.site import Site, until
from orchestration.lake_io import LakeIO
from streaming.adapters.lake import Lake, LakeError
from streaming.settings import Settings
from trading.schemas import FILLS_V1, JOURNAL_V1, ORDERS_COMMANDS, ORDERS_JOURNAL, POSITIONS_V1

NEEDED_ROLES = ("ingest", "normalize", "orders", "route", "sink-journal")
ORDER_TABLES = (JOURNAL_V1, FILLS_V1, POSITIONS_V1)
CLOCK_TOLERANCE_S = 5.0
READY_S = 60.0


def components(site: Site, settings: Settings) -> list[Finding]:
    """Return the findings of all components; one that raises has failed."""
    checks: Sequence[tuple[str, Callable[[], Finding]]] = (
        ("config", lambda: _config(settings)),
        ("roles", lambda: _roles(site)),
        ("broker", lambda: _broker(site)),
        ("lake", lambda: _lake(site)),
        ("api", lambda: _api(site)),
        ("dagster", _dagster),
        ("clock", lambda: _clock(site, settings)),
    )
    return [guarded(name, check) for name, check in checks]


def guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """Return the finding of a check; whatever it raises is a failure with the reason."""
    try:
        return check()
    except CommandError as error:
        return Finding(name, False, str(error))
    except Exception as error:  # noqa: BLE001 - a check that cannot be made has not passed
        return Finding(name, False, f"{type(error).__name__}: {error}")


def _config(settings: Settings) -> Finding:
    count = len(settings.instrument_table())
    return Finding("config", count > 0, f"settings are valid; {count} instruments", {"instruments": count})


def _roles(site: Site) -> Finding:
    page = site.status()
    missing = [role for role in NEEDED_ROLES if role not in page.get("roles", ())]
    where = f"{max(1, len(page.get('processes', ())))} process(es)"
    message = f"not running: {', '.join(missing)}" if missing else f"{len(page['roles'])} roles run in {where}"
    return Finding("roles", not missing, message, {"missing": len(missing)})


def _broker(site: Site) -> Finding:
    found: dict[str, Any] = {}

    def owned() -> bool:
        found.update(site.status())
        lanes = found.get("flows", {}).get("orders", {})
        return bool(lanes) and all(lane.get("owned") for lane in lanes.values())

    ready = until(owned, READY_S)
    ends = {
        topic: sum(span["end"] for span in found.get("topics", {}).get(topic, {}).values())
        for topic in (ORDERS_COMMANDS.name, ORDERS_JOURNAL.name)
    }
    partitions = len(found.get("flows", {}).get("orders", {}))
    # Each owner begins with a fence in its journal, so an empty journal was never written.
    passed = ready and ends[ORDERS_JOURNAL.name] > 0
    message = (
        f"{found.get('broker', 'none')}: {partitions} partitions owned, {ends[ORDERS_JOURNAL.name]} journal records"
    )
    return Finding("broker", passed, message, {"partitions": partitions, "journal_records": ends[ORDERS_JOURNAL.name]})


def _lake(site: Site) -> Finding:
    root = site.home / "lake"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=root) as probe:
        probe.write(b"gate")
    lake = LakeIO(Lake(root))
    try:
        wrong = [text for table in ORDER_TABLES if (text := lake.foreign(table))]
    except LakeError as error:
        wrong = [f"{error.code}: {error}"]
    there = sum(lake.version(table) is not None for table in ORDER_TABLES) if not wrong else 0
    message = "; ".join(wrong) or f"writable; {there} of {len(ORDER_TABLES)} order tables are there, as declared"
    return Finding("lake", not wrong, message, {"tables": there})


def _api(site: Site) -> Finding:
    ready = until(lambda: site.call("GET", "/health/ready").status == 200, READY_S)
    # A platform that has just started is still opening its accounts.
    until(lambda: site.call("GET", "/v2/account", site.trader).status == 200, READY_S)
    account = site.call("GET", "/v2/account", site.trader)
    stranger = site.call("GET", "/v2/account")
    passed = ready and account.status == 200 and stranger.status == 401
    message = f"ready {ready}; account {account.status}; without a key {stranger.status}"
    return Finding("api", passed, message, {"account": account.status, "stranger": stranger.status})


def _dagster() -> Finding:
    from orchestration.definitions import defs

    graph = defs().resolve_asset_graph()
    assets, checks = len(graph.get_all_asset_keys()), len(graph.asset_check_keys)
    return Finding("dagster", assets > 0, f"{assets} assets, {checks} checks", {"assets": assets, "checks": checks})


def _clock(site: Site, settings: Settings) -> Finding:
    seen = site.call("GET", "/v2/clock", site.trader)
    if seen.status != 200:
        return Finding("clock", False, f"/v2/clock answers {seen.code}")
    shown = datetime.fromisoformat(seen.body["timestamp"])
    apart_s = abs(shown.timestamp() - time_ns() / NS_PER_S)
    live = not settings.feed.source.startswith("replay:")
    message = f"the desk's clock is {apart_s:.1f} s from ours" + ("" if live else ", and shows event time")
    return Finding("clock", apart_s <= CLOCK_TOLERANCE_S or not live, message, {"apart_s": round(apart_s, 3)})
