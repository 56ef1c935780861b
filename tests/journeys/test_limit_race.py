"""64 clients over real HTTP race for what is left of a limit: it is reached, and never passed."""

import asyncio
import json
from pathlib import Path

from streaming.api.keys import Key, open_keys
from streaming.bench.order_client import Answer, Pool, headers_of, request
from streaming.bench.order_load import code_of
from streaming.bench.order_place import platform
from streaming.bench.order_state import Caller, administrator, allow, listing, put_limits, quoting, traders

CLIENTS = 64
ACCOUNT = "racer"
UNIT = "0.0001"
UNITS = 10
ANSWER_S = 30.0


async def race(pool: Pool, key: Key, prices: list[str], turn: int) -> list[Answer]:
    """Send one order of one unit from every client at once."""
    orders = [
        {"symbol": "BTC/USD", "qty": UNIT, "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": price}
        | {"client_order_id": f"race-{turn}-{number}"}
        for number, price in enumerate(prices)
    ]
    payloads = [request("POST", "/v2/orders", headers_of(key), json.dumps(order).encode()) for order in orders]
    return list(await asyncio.gather(*(pool.call(payload, ANSWER_S) for payload in payloads)))


async def test_clients_that_race_for_the_last_units_never_pass_the_limit(tmp_path: Path) -> None:
    async with platform(tmp_path, "log://", [ACCOUNT]) as (address, _):
        pool = Pool(address, CLIENTS)
        await pool.start()
        caller, ring = Caller(pool), list(open_keys(tmp_path, ()))
        (key,), admin = traders(ring, 1), administrator(ring)
        limits = (await allow(caller, admin, [ACCOUNT], 1_000))[ACCOUNT]
        most = f"{int(UNIT[2:]) * UNITS / 10**4:.4f}"
        await put_limits(caller, admin, ACCOUNT, limits | {"max_position_qty": most})
        place = await quoting(caller, key)
        prices = [place.price(number) for number in range(CLIENTS)]
        first = await race(pool, key, prices, 0)
        assert sum(answer.status == 200 for answer in first) == UNITS
        assert {code_of(*answer) for answer in first if answer.status != 200} == {"MAX_POSITION"}
        # One unit comes back, and exactly one of the next 64 gets it.
        gone = json.loads(next(answer.body for answer in first if answer.status == 200))["id"]
        await caller.call("DELETE", f"/v2/orders/{gone}", key)
        async with asyncio.timeout(ANSWER_S):
            while len(await listing(caller, key, "open", "race-")) == UNITS:
                pass
        second = await race(pool, key, prices, 1)
        assert sum(answer.status == 200 for answer in second) == 1
        assert len(await listing(caller, key, "open", "race-")) == UNITS
        await pool.stop()
