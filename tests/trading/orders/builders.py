"""Small worlds for tests of the trading core: instruments, a market, an account that may trade, and a driver."""

from typing import Any

import msgspec
import numpy as np

from trading.commands import (
    AnyCommand,
    Deposit,
    LimitsBody,
    OpenAccount,
    SetLimits,
    SubmitOrder,
    VenueAccepted,
    VenueCanceled,
    VenueFill,
)
from trading.events import AnyEvent
from trading.instruments import Instrument, InstrumentTable
from trading.orders.evolve import evolve
from trading.orders.idempotency import order_id
from trading.orders.oms import decide
from trading.orders.state import OrderRow, State
from trading.risk.market import MarketView, quote
from trading.risk.var import RiskModel, build_model

S = 10**9
MS = 10**6
T0 = 1_700_000_000 * S
XYZ = Instrument(symbol="XYZ", venue="SIM", price_scale=2, qty_scale=0)
ABC = Instrument(symbol="ABC", venue="SIM", price_scale=4, tick=100, qty_scale=8, shortable=False)
OLD = Instrument(symbol="OLD", venue="SIM", tradable=False)
EUR = Instrument(symbol="EUR", venue="SIM", currency="EUR")
NYS = Instrument(symbol="NYS", venue="SIM", calendar="XNYS")
TABLE = InstrumentTable([XYZ, ABC, OLD, EUR, NYS])
NAMES = [i.id for i in TABLE]


def limits_body(**changes: Any) -> LimitsBody:
    """Return wide limits, changed where a test cares."""
    wide: dict[str, Any] = {
        "max_order_qty": "1000",
        "max_order_value": "100000",
        "max_position_qty": "5000",
        "max_var": "500000",
        "collar_bps": 1_000,
        "concentration_bps": 2_500,
        "margin_bps": 5_000,
        "max_open_orders": 1_000,
        "message_rate": 1_000,
        "message_burst": 1_000,
        "repeat_count": 1_000,
        "repeat_window_ms": 1_000,
        "price_max_age_ms": 5_000,
        "valuation_max_age_ms": 86_400_000,
        "ack_timeout_ms": 30_000,
        "order_timeout_ms": 0,
        "short_allowed": True,
    }
    return LimitsBody(**(wide | changes))


def model(names: list[str] | None = None, *, version: int = 1, days: int = 250, seed: int = 7) -> RiskModel:
    """Return a risk model of random daily returns with a common factor."""
    names = NAMES if names is None else names
    rng = np.random.default_rng(seed)
    market = rng.normal(0, 0.01, (days, 1))
    return build_model(version, names, market + rng.normal(0, 0.01, (days, len(names))))


MODEL = model()


def market(ts_ns: int = T0, **marks: int) -> MarketView:
    """Return a market with every instrument marked at 100, in its scale, or as told by symbol."""
    quotes = {}
    for instrument in TABLE:
        mark = marks.get(instrument.symbol, 100 * 10**instrument.price_scale)
        made = quote(ts_ns, mark - instrument.tick, mark + instrument.tick, mark)
        assert made is not None
        quotes[instrument.id] = made
    return MarketView(TABLE, quotes, MODEL, {"XNYS": T0 + 3_600 * S}, 1)


def step(state: State, command: AnyCommand, view: MarketView | None = None) -> list[AnyEvent]:
    """Decide and evolve; return the events."""
    events = decide(state, command, market(command.ts_ns) if view is None else view)
    for event in events:
        evolve(state, event)
    return events


def desk(*accounts: str, cash: str = "1000000", **limits: Any) -> State:
    """Return a state with funded accounts under these limits."""
    state = State()
    for account in accounts or ("a",):
        step(state, OpenAccount(account=account, ts_ns=T0, actor="admin"))
        step(state, Deposit(account=account, ts_ns=T0, actor="admin", ref="first", amount=cash))
        step(state, SetLimits(account=account, ts_ns=T0, actor="admin", limits=limits_body(**limits)))
    return state


def submit(cid: str = "c1", **changes: Any) -> SubmitOrder:
    """Return a limit order to buy 10 XYZ at 99, changed where a test cares."""
    fields: dict[str, Any] = {
        "account": "a",
        "ts_ns": T0,
        "client_order_id": cid,
        "instrument": XYZ.id,
        "side": "buy",
        "qty": "10",
        "type": "limit",
        "tif": "gtc",
        "limit_price": "99",
    }
    fields |= changes
    if fields["type"] in ("market", "stop") and "limit_price" not in changes:
        fields["limit_price"] = None
    return SubmitOrder(**fields)


def oid(cid: str = "c1", account: str = "a") -> str:
    """Return the order id of a client order id."""
    return order_id(account, cid)


def ack(cid: str = "c1", **changes: Any) -> VenueAccepted:
    """Return the venue's acknowledgement of an order."""
    fields: dict[str, Any] = {
        "account": "a",
        "ts_ns": T0,
        "order": oid(cid),
        "venue": "SIM",
        "venue_order_id": f"v-{cid}",
    }
    return VenueAccepted(**(fields | changes))


def fill(trade: str = "t1", cid: str = "c1", **changes: Any) -> VenueFill:
    """Return an execution of 10 XYZ bought at 99."""
    fields: dict[str, Any] = {
        "account": "a",
        "ts_ns": T0,
        "order": oid(cid),
        "venue": "SIM",
        "trade_id": trade,
        "instrument": XYZ.id,
        "side": "buy",
        "qty": "10",
        "price": "99",
    }
    return VenueFill(**(fields | changes))


def canceled(cid: str = "c1", **changes: Any) -> VenueCanceled:
    """Return the venue's word that an order no longer works."""
    fields: dict[str, Any] = {"account": "a", "ts_ns": T0, "order": oid(cid), "venue": "SIM"}
    return VenueCanceled(**(fields | changes))


def row(state: State, cid: str = "c1") -> OrderRow:
    """Return the row of an order."""
    return state.orders[oid(cid)]


def kinds(events: list[AnyEvent]) -> list[str]:
    """Return the tags of events."""
    return [str(msgspec.to_builtins(event)["kind"]) for event in events]
