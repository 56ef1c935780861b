"""Orders as /v2 speaks of them: what a client may send, and how an order of ours looks in Alpaca's words."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, field

from streaming.api import times
from streaming.api.body import Amount, OptionalAmount
from streaming.api.symbols import SymbolBook, as_uuid, asset_id
from trading.accounting.pnl import average_price
from trading.amounts import CASH_SCALE, to_text
from trading.commands import OrderType, Side
from trading.events import Status
from trading.orders.state import OrderRow

MAX_LIMIT = 500
Symbol = Annotated[str, Meta(min_length=1, max_length=64)]
ClientId = Annotated[str, Meta(min_length=1, max_length=128)]
# Clients that write every field send "" for an id that they leave to the server.
MaybeClientId = Annotated[str, Meta(max_length=128)]
Time = Annotated[str, Meta(min_length=1, max_length=40)]
ShownStatus = Literal[
    "pending_new",
    "new",
    "held",
    "partially_filled",
    "filled",
    "pending_cancel",
    "canceled",
    "pending_replace",
    "replaced",
    "expired",
    "rejected",
]


def _null() -> Raw:
    return Raw(b"null")


class OrderWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wanted of a new order. `time_in_force` gtd is ours: it needs `expires_at`.

    What is not supported may be there without a value, as clients write it that send every field.
    """

    symbol: Symbol
    qty: Amount
    side: Side
    type: OrderType
    time_in_force: Literal["day", "gtc", "ioc", "fok", "gtd"]
    limit_price: OptionalAmount = field(default_factory=_null)
    stop_price: OptionalAmount = field(default_factory=_null)
    client_order_id: MaybeClientId | None = None
    order_class: Literal["simple", ""] | None = None
    extended_hours: bool | None = None
    expires_at: Time | None = None
    notional: None = None
    trail_price: None = None
    trail_percent: None = None
    take_profit: None = None
    stop_loss: None = None
    legs: None = None
    position_intent: Literal[""] | None = None


class OrderChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different in the order that stands in place of an open one. `qty` is the total."""

    qty: OptionalAmount = field(default_factory=_null)
    limit_price: OptionalAmount = field(default_factory=_null)
    stop_price: OptionalAmount = field(default_factory=_null)
    time_in_force: Literal["day", "gtc", "ioc", "fok", ""] | None = None
    client_order_id: MaybeClientId | None = None
    trail: None = None


class OrderQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which orders to list, newest first unless `direction` is asc; `after` and `until` compare the submission."""

    status: Literal["open", "closed", "all"] = "open"
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = 50
    after: Time | None = None
    until: Time | None = None
    direction: Literal["asc", "desc"] = "desc"
    nested: bool = False
    side: Side | None = None
    symbols: Annotated[str, Meta(max_length=4_000)] | None = None


class OneOrderQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to show one order."""

    nested: bool = False


class ClientIdQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which order."""

    client_order_id: ClientId
    nested: bool = False


class Order(msgspec.Struct, frozen=True, gc=False):
    """An order in Alpaca's words. Amounts are decimal texts."""

    id: str
    client_order_id: str
    created_at: str
    updated_at: str
    submitted_at: str
    filled_at: str | None
    expired_at: str | None
    expires_at: str | None
    canceled_at: str | None
    failed_at: str | None
    replaced_at: str | None
    replaced_by: str | None
    replaces: str | None
    asset_id: str
    symbol: str
    asset_class: str
    notional: None
    qty: str
    filled_qty: str
    filled_avg_price: str | None
    order_class: Literal["simple"]
    order_type: OrderType
    type: OrderType
    side: Side
    time_in_force: Literal["day", "gtc", "ioc", "fok"]
    limit_price: str | None
    stop_price: str | None
    status: ShownStatus
    extended_hours: bool
    legs: None
    trail_percent: None
    trail_price: None
    hwm: None


class CancelResult(msgspec.Struct, frozen=True):
    """What became of the cancellation of one order."""

    id: str
    status: int
    body: Order | None = None


_ORDER_OR_PROBLEM = {"anyOf": [{"$ref": "#/components/schemas/Order"}, {"$ref": "#/components/schemas/AlpacaProblem"}]}


class CloseResult(msgspec.Struct, frozen=True):
    """What became of the closing of one position."""

    symbol: str
    status: int
    body: Annotated[Any, Meta(extra_json_schema=_ORDER_OR_PROBLEM)]
    order_id: str | None = None


def view(row: OrderRow, symbols: SymbolBook) -> Order:
    """Return an order as /v2 shows it. Clients do not know `unknown` and gtd: those show as pending_new and gtc."""
    intent = row.intent
    scale = intent.price_scale
    submitted = times.to_text(intent.ts_ns)
    updated = submitted if row.updated_ts_ns == intent.ts_ns else times.to_text(row.updated_ts_ns)
    done = row.filled + row.overfilled
    average = None
    if done:
        average = to_text(average_price(done, abs(row.cost), intent.qty_scale, scale), CASH_SCALE)
    ended = times.to_text(row.ended_ts_ns) if row.ended_ts_ns else None
    instrument = symbols.find(intent.instrument)
    return Order(
        as_uuid(intent.order),
        intent.client_order_id,
        submitted,
        updated,
        submitted,
        _if(row, "filled", ended),
        _if(row, "expired", ended),
        None if intent.expire_ts_ns is None else times.to_text(intent.expire_ts_ns),
        _if(row, "canceled", ended),
        _if(row, "rejected", ended),
        _if(row, "replaced", ended),
        as_uuid(row.replaced_by) if row.replaced_by and row.status == "replaced" else None,
        as_uuid(intent.replaces) if intent.replaces else None,
        asset_id(intent.instrument),
        symbols.shown(intent.instrument),
        "us_equity" if instrument is None else instrument.asset_class,
        None,
        # What a replaced order had filled is not filled again: the quantity of this order is what it may fill itself.
        to_text(intent.qty - row.inherited, intent.qty_scale),
        to_text(done, intent.qty_scale),
        average,
        "simple",
        intent.type,
        intent.type,
        intent.side,
        "gtc" if intent.tif == "gtd" else intent.tif,
        None if intent.limit_price is None else to_text(intent.limit_price, scale),
        None if intent.stop_price is None else to_text(intent.stop_price, scale),
        "pending_new" if row.status == "unknown" else row.status,
        False,
        None,
        None,
        None,
        None,
    )


def _if(row: OrderRow, status: Status, ended: str | None) -> str | None:
    return ended if row.status == status else None
