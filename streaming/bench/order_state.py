"""What a load needs of a platform before, and what must hold of it after: the ledger against the server's own words."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from streaming.api.keys import ADMIN, Key
from streaming.bench.order_client import Answer, Pool, headers_of, request
from streaming.bench.order_load import QTY, Ledger, Quoting, code_of

CALL_S = 120.0
READY_S = 60.0
# The venue is asked after an order is acknowledged: so long may it take until it has heard of all of them.
CATCH_UP_S = 120.0
SETTLE_S = 10.0
# A sink lets records go with its next commit, so some always wait.
FEW_RECORDS = 2_000
BEHIND = ("route", "orders")
POLL_S = 0.25
PAGE_ROWS = 500
MAX_OPEN_ORDERS = 100_000
SHOWN = 5
CANCELS_AT_ONCE = 32
NOWHERE = "0.01"
SYMBOL = "BTC/USD"
Orders = dict[str, dict[str, Any]]


class StateError(Exception):
    """The platform does not answer as it should."""


class Caller:
    """Calls the order API and reads JSON."""

    def __init__(self, pool: Pool, beside: Sequence[Pool] = ()) -> None:
        """Take the way to the order API, and to processes beside it that only have pages."""
        self._pool, self._beside = pool, beside

    async def call(self, method: str, path: str, key: Key, body: dict[str, Any] | None = None) -> Any:
        """Return the JSON of an answer; raise `StateError` for any other than a success."""
        answer = await self.ask(method, path, key, body)
        if answer.status not in (200, 204):
            raise StateError(f"{method} {path}: {answer.status} {code_of(*answer)}")
        return json.loads(answer.body) if answer.body else None

    async def ask(self, method: str, path: str, key: Key, body: dict[str, Any] | None = None) -> Answer:
        """Return an answer; raise `StateError` if there is none in time."""
        content = b"" if body is None else json.dumps(body).encode()
        try:
            return await self._pool.call(request(method, path, headers_of(key), content), CALL_S)
        except TimeoutError:
            raise StateError(f"{method} {path}: no answer within {CALL_S:.0f} s") from None

    async def status(self, key: Key) -> dict[str, Any]:
        """Return the status page, with the roles, groups and flows of the processes beside."""
        page: dict[str, Any] = await self.call("GET", "/status", key)
        for pool in self._beside:
            other = json.loads((await pool.call(request("GET", "/status", {}), CALL_S)).body)
            page["roles"] = [*page["roles"], *other["roles"]]
            page["groups"] |= other["groups"]
            page["flows"] |= other["flows"]
        return page


def administrator(keys: Sequence[Key]) -> Key:
    """Return a key that may set limits; raise `StateError`."""
    found = next((key for key in keys if ADMIN in key.scopes), None)
    if found is None:
        raise StateError("the keys file has no key with the scope admin")
    return found


def traders(keys: Sequence[Key], count: int) -> list[Key]:
    """Return up to `count` keys of different accounts that may trade but not administer; raise `StateError`."""
    chosen = {key.account: key for key in keys if "trade" in key.scopes and ADMIN not in key.scopes}
    if not chosen:
        raise StateError("the keys file has no key with the scope trade")
    return list(chosen.values())[:count]


async def allow(caller: Caller, admin: Key, accounts: Sequence[str], open_orders: int) -> dict[str, dict[str, Any]]:
    """Let each account hold that many open orders; return the limits that were in force before."""
    before: dict[str, dict[str, Any]] = {}
    for account in accounts:
        path = f"/v1/limits?account={account}"
        answer = await _until_found(caller, path, admin)
        before[account] = answer["limits"]
        held = max(before[account]["max_open_orders"], min(open_orders, MAX_OPEN_ORDERS))
        await put_limits(caller, admin, account, before[account] | {"max_open_orders": held})
    return before


async def put_limits(caller: Caller, admin: Key, account: str, limits: dict[str, Any]) -> None:
    """Put limits in force."""
    body = {"limits": limits, "account": account, "reason": "load test"}
    await caller.call("PUT", "/v1/limits", admin, body)


async def quoting(caller: Caller, key: Key, symbol: str = SYMBOL) -> Quoting:
    """Return where to bid: at the collar of sales, far below the market. The gate is asked, nothing is sent."""
    wish = {"symbol": symbol, "qty": QTY, "side": "sell", "type": "limit", "time_in_force": "gtc"}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_S
    while loop.time() < deadline:
        answer = await caller.call("POST", "/v1/risk/check", key, wish | {"limit_price": NOWHERE})
        for breach in answer["breaches"]:
            if breach["code"] == "PRICE_COLLAR":
                whole, _, part = breach["limit"].partition(".")
                scale = len(NOWHERE.partition(".")[2])
                return Quoting(symbol, int(whole) * 10**scale + int(part[:scale].ljust(scale, "0")), 1, scale)
        await asyncio.sleep(POLL_S)
    raise StateError(f"{symbol} has no price after {READY_S:.0f} s")


async def caught_up(caller: Caller, key: Key) -> float:
    """Wait until the gateway and the owners have worked everything; return after how many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < CATCH_UP_S:
        groups = (await caller.status(key))["groups"]
        if not any(groups[name]["lag"] for name in BEHIND if name in groups):
            break
        await asyncio.sleep(POLL_S)
    return round(loop.time() - began, 1)


async def backlog_gone(caller: Caller, admin: Key, keys: Sequence[Key]) -> None:
    """Wait until a platform on an old broker has worked what earlier runs left: sinks and history read all of it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + CATCH_UP_S
    while any(group["lag"] > FEW_RECORDS for group in (await caller.status(admin))["groups"].values()):
        if loop.time() > deadline:
            raise StateError(f"sinks are behind after {CATCH_UP_S:.0f} s; use a fresh broker")
        await asyncio.sleep(POLL_S)
    for key in keys:
        # A list of closed orders waits for the history.
        await caller.call("GET", "/v2/orders?status=closed&limit=1", key)


async def differences(caller: Caller, ledger: Ledger, keys: Sequence[Key]) -> list[str]:
    """Compare the ledger with the orders of each account, give the last ones a moment; return what differs."""
    wanted_open, wanted_canceled = set(ledger.open), set(ledger.canceled)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_S
    faults: list[str] = []
    for key in keys:
        own = {order for order, owner in ledger.sent.items() if owner is key}
        while True:
            shown_open = await listing(caller, key, "open", ledger.prefix)
            ended = await listing(caller, key, "closed", ledger.prefix)
            found = _compared(own, wanted_open, wanted_canceled, ledger.doubtful, shown_open, ended)
            if not found or loop.time() >= deadline:
                break
            await asyncio.sleep(POLL_S)
        faults += [f"{key.account}: {fault}" for fault in found]
    return faults


async def listing(caller: Caller, key: Key, status: str, prefix: str) -> list[dict[str, Any]]:
    """Return every order of an account whose client id begins so, page by page."""
    found: Orders = {}
    after = ""
    while True:
        path = f"/v2/orders?status={status}&limit={PAGE_ROWS}&direction=asc{after}"
        page = await caller.call("GET", path, key)
        fresh = [order for order in page if order["id"] not in found]
        found |= {order["id"]: order for order in fresh}
        if len(page) < PAGE_ROWS or not fresh:
            return [order for order in found.values() if order["client_order_id"].startswith(prefix)]
        after = f"&after={page[-1]['submitted_at']}"


async def audit(caller: Caller, admin: Key) -> list[str]:
    """Verify the hash chain and look at the conservation audit; return what is wrong."""
    chains = await caller.call("GET", "/v1/audit", admin)
    faults = [
        f"partition {c['partition']}: {c['code']}: {c['message']}" for c in chains["partitions"] if not c["whole"]
    ]
    page = await caller.status(admin)
    for number, stats in page["flows"].get("orders", {}).items():
        if stats.get("audit_differences"):
            faults.append(f"partition {number}: {stats['audit_differences']} differences in the conservation audit")
    return faults


async def clean_up(caller: Caller, admin: Key, ledger: Ledger, before: dict[str, dict[str, Any]]) -> None:
    """Cancel what still rests and put the old limits in force again, on a platform that goes on."""
    for place in range(0, len(ledger.open), CANCELS_AT_ONCE):
        some = ledger.open[place : place + CANCELS_AT_ONCE]
        await asyncio.gather(
            *(caller.ask("DELETE", f"/v2/orders/{ledger.ids[order]}", ledger.sent[order]) for order in some)
        )
    for account, limits in before.items():
        await put_limits(caller, admin, account, limits)


async def _until_found(caller: Caller, path: str, key: Key) -> Any:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_S
    while True:
        answer = await caller.ask("GET", path, key)
        if answer.status not in (404, 503) or loop.time() >= deadline:
            return await caller.call("GET", path, key)
        await asyncio.sleep(POLL_S)


def _compared(
    own: set[str],
    wanted_open: set[str],
    wanted_canceled: set[str],
    doubtful: set[str],
    shown_open: list[dict[str, Any]],
    ended: list[dict[str, Any]],
) -> list[str]:
    counts = Counter(order["client_order_id"] for order in {o["id"]: o for o in (*shown_open, *ended)}.values())
    resting = {order["client_order_id"] for order in shown_open if order["status"] == "new"}
    canceled = {order["client_order_id"] for order in ended if order["status"] == "canceled"}
    lists = {
        "acknowledged, not open": (own & wanted_open) - resting,
        "canceled, not so shown": (own & wanted_canceled) - canceled,
        "shown, never sent": counts.keys() - own,
        "shown twice": {order for order, count in counts.items() if count > 1},
        "open, but canceled": resting & wanted_canceled - doubtful,
    }
    return [f"{len(orders)} {what}: {', '.join(sorted(orders)[:SHOWN])}" for what, orders in lists.items() if orders]
