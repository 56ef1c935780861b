"""Orders over HTTP with planned send times, on a platform with route, paper venue and sinks: `trade bench orders`.

Open loop: a latency runs from the planned time of its request, so a stall counts for all that it held up. Afterwards
what the server acknowledged is compared with what it shows, and the hash chain of the journal is verified.
"""

import argparse
import asyncio
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from streaming.api.keys import KEYS_FILE, open_keys
from streaming.bench.order_client import Address, Pool
from streaming.bench.order_load import Load, summary
from streaming.bench.order_place import FEED_RATE, Place, PlaceError, account_names, platform
from streaming.bench.order_state import (
    Caller,
    StateError,
    administrator,
    allow,
    audit,
    backlog_gone,
    caught_up,
    clean_up,
    differences,
    quoting,
    traders,
)

ACCOUNTS = 64
CONNECTIONS = 64
P50_BAR_MS, P99_BAR_MS = 10.0, 50.0
# A search ends when the highest rate that held is within this share of the lowest that did not.
SEARCH_SHARE = 1.1
SEARCH_STEP = 1.6
MAX_PROBES = 8
NEW_SHARE = 0.8
EXIT_NO_PLATFORM = 69
SHOWN_FAULTS = 5


async def load(options: argparse.Namespace, place: Place, home: Path, rate: float) -> dict[str, Any]:
    """Run one load on a platform that answers and return what was measured. Raises `StateError`."""
    address = place.orders
    pool, beside = Pool(address, CONNECTIONS), [Pool(other, 1) for other in place.beside]
    try:
        for each in (pool, *beside):
            await each.start()
    except (OSError, TimeoutError) as error:
        raise StateError(f"http://{address.host}:{address.port} does not answer: {error}") from None
    try:
        caller, ring = Caller(pool, beside), list(open_keys(home, ()))
        keys, admin = traders(ring, options.accounts), administrator(ring)
        orders = round(rate * options.seconds * NEW_SHARE / len(keys)) + 1_000
        await backlog_gone(caller, admin, keys)
        before = await allow(caller, admin, [key.account for key in keys], orders)
        run = Load(pool, keys, await quoting(caller, keys[0]), f"load-{secrets.token_hex(4)}-")
        await run.run(rate, options.seconds)
        caught_up_s = await caught_up(caller, admin)
        faults = await differences(caller, run.ledger, keys)
        broken = await audit(caller, admin)
        page = await caller.status(admin)
        if options.url and not options.keep:
            await clean_up(caller, admin, run.ledger, before)
    finally:
        for each in (pool, *beside):
            await each.stop()
    measured = summary(run.timing)
    errors = dict(run.ledger.errors)
    everything: Any = measured["all"]
    fast = everything["count"] > 0 and everything["p50_ms"] < P50_BAR_MS and everything["p99_ms"] < P99_BAR_MS
    return {
        "broker": page["broker"],
        "roles": page["roles"],
        "accounts": len(keys),
        "rate": rate,
        "seconds": options.seconds,
        **measured,
        "errors": errors,
        "caught_up_s": caught_up_s,
        "acknowledged": {"open": len(run.ledger.open), "canceled": len(run.ledger.canceled)},
        "state_faults": faults,
        "audit_faults": broken,
        "held": fast and not errors and not faults and not broken,
    }


async def measure(options: argparse.Namespace, rate: float) -> dict[str, Any]:
    """Run one load, on a platform of its own unless a URL was given."""
    if options.url:
        place = Place(_address(options.url), tuple(_address(f"//{beside}") for beside in options.beside))
        return await load(options, place, options.home, rate)
    home = Path(tempfile.mkdtemp(prefix="bench-orders-"))
    try:
        async with platform(home, options.broker, account_names(options.accounts), options.feed_rate) as place:
            return await load(options, place, home, rate)
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def search(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Look for the highest rate that holds the bar: grow until one does not, then halve the distance."""
    runs: list[dict[str, Any]] = []
    low, high, rate = 0.0, float("inf"), options.rate
    while len(runs) < MAX_PROBES and high > low * SEARCH_SHARE:
        runs.append(await measure(options, rate))
        _show(runs[-1])
        low, high = (rate, high) if runs[-1]["held"] else (low, rate)
        rate = low * SEARCH_STEP if high == float("inf") else high / SEARCH_STEP if not low else (low * high) ** 0.5
        rate = round(rate)
    return runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit 1 when the bar is missed, 69 when there is no platform."""
    options = _parse(arguments)
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            runs = runner.run(search(options)) if options.search else [runner.run(measure(options, options.rate))]
    except (StateError, PlaceError) as error:
        sys.stderr.write(f"NO_PLATFORM {error}\n")
        return EXIT_NO_PLATFORM
    held = [run["rate"] for run in runs if run["held"]]
    result = {
        "bench": "orders",
        "bar": {"p50_ms": P50_BAR_MS, "p99_ms": P99_BAR_MS, "errors": 0},
        "runs": runs,
        "highest_rate": max(held, default=0.0),
        "passed": bool(held) if options.search else len(held) == len(runs),
    }
    if options.json:
        print(json.dumps(result))
    elif options.search:
        print(f"highest rate that holds the bar: {result['highest_rate']:.0f}/s")
    else:
        _show(runs[0], sys.stdout)
    return 0 if result["passed"] else 1


def _address(url: str) -> Address:
    parts = urlsplit(url)
    return Address(parts.hostname or "127.0.0.1", parts.port or 80)


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m streaming.bench.orders", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rate", type=float, default=1_000.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run, behind a warm-up; the bar is for 300")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--search", action="store_true", help="find the highest rate that holds the bar")
    parser.add_argument("--broker", default="log://", help="log:// or kafka://host:port")
    parser.add_argument("--feed-rate", type=float, default=FEED_RATE, help="ticks a second of the simulated market")
    parser.add_argument("--url", help="a running platform, instead of one of its own")
    parser.add_argument("--home", type=Path, help="with --url: the data folder of that platform, for its keys")
    parser.add_argument(
        "--beside", action="append", default=[], metavar="HOST:PORT", help="with --url: another process of it"
    )
    parser.add_argument("--keep", action="store_true", help="with --url: leave open orders and raised limits")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if bool(options.url) != (options.home is not None):
        parser.error("--url and --home go together")
    if options.home is not None and not (options.home / KEYS_FILE).is_file():
        parser.error(f"--home: no {KEYS_FILE} in {options.home}")
    if options.rate <= 0 or options.seconds <= 0 or options.accounts < 1:
        parser.error("--rate, --seconds and --accounts must be positive")
    return options


def _show(run: dict[str, Any], to: Any = sys.stderr) -> None:
    lines = [f"{run['broker']} {run['rate']:.0f}/s for {run['seconds']:g} s: {run['answered_per_s']:,}/s answered"]
    for verb in ("new", "cancel", "all"):
        if run[verb]["count"]:
            shown = "  ".join(f"{name} {run[verb][f'{name.lower()}_ms']:8.2f} ms" for name in ("P50", "P99", "max"))
            lines.append(f"  {verb:6} {run[verb]['count']:>8,}  {shown}")
    lines.append(f"  errors {run['errors'] or 0}, requests handed over late P99 {run['handed_late_ms_p99']:.2f} ms")
    lines.append(f"  gateway and owners had worked everything {run['caught_up_s']:g} s after the last answer")
    faults = [*run["state_faults"], *run["audit_faults"]]
    lines += [f"  FAULT {fault}" for fault in faults[:SHOWN_FAULTS]]
    if len(faults) > SHOWN_FAULTS:
        lines.append(f"  and {len(faults) - SHOWN_FAULTS} more faults")
    lines.append(f"  {'holds' if run['held'] else 'MISSES'} P50 < {P50_BAR_MS:g} ms, P99 < {P99_BAR_MS:g} ms, no error")
    print("\n".join(lines), file=to, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
