"""Hooks of schemathesis: what it draws at random becomes an order, a symbol or a time that exists at the desk."""

import os
import zlib
from typing import Any

import schemathesis

SYMBOLS = ("BTC/USD", "ETHUSD", "BTC-USD.SIM", "SPY")
TIMES = ("2023-11-01", "2023-11-14T22:13:20Z", "2024-01-01T00:00:00+01:00")
PRICES = ("48000", "49000.5", "49500")
KNOWN: dict[str, tuple[str, ...]] = {
    "symbol": SYMBOLS,
    "symbols": ("BTC/USD", "BTC/USD,ETH/USD", "SPY"),
    "activity_type": ("FILL",),
    "activity_types": ("FILL",),
    "client_order_id": ("open", "done", "canceled"),
    "partition": ("0", "3"),
    "percentage": ("10", "33.3"),
    "qty": ("0.01", "0.02"),
    **dict.fromkeys(("after", "until", "start", "end", "date", "date_end"), TIMES),
}


def chosen(drawn: object, choices: tuple[str, ...]) -> str:
    """Return one of the choices, always the same for what was drawn."""
    return choices[zlib.crc32(repr(drawn).encode()) % len(choices)]


def known(drawn: dict[str, Any] | None) -> Any:
    """Replace the values of names that the desk knows."""
    orders = tuple(os.environ["FUZZ_ORDERS"].split(","))
    names = KNOWN | {"order_id": orders}
    return drawn and {name: chosen(value, names[name]) if name in names else value for name, value in drawn.items()}


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Name what exists."""
    return known(path_parameters)


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Name what exists; qty or percentage, date or after."""
    made = known(query)
    for one, other in (("qty", "percentage"), ("date", "after"), ("date", "until"), ("page_token", "page_token")):
        if made and one in made and (other in made):
            del made[other]
    return made


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Wish for an order that the desk takes, or change one so."""
    if not isinstance(body, dict):
        return body
    if "symbol" in body:
        name = f"f-{zlib.crc32(repr(body).encode())}"
        limit = chosen(body, PRICES)
        order = {"symbol": "BTC/USD", "qty": "0.001", "side": "buy", "client_order_id": name}
        return order | {"type": "limit", "time_in_force": "gtc", "limit_price": limit}
    if "limit_price" in body:
        return {"limit_price": chosen(body, PRICES)}
    return body
