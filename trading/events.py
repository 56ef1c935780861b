"""What the owner decided, as the journal keeps it. State changes only by these events, in their order.

Price and quantity are integers in the instrument's scale (`OrderAccepted` names the scales, which never change for an
instrument id), cash is an integer of 1e-9: a fold of millions of records must not parse decimals.
"""

from typing import Literal, TypeAlias

import msgspec

from trading.commands import LimitsBody, OrderType, ReplaceOrder, Scope, Side, SubmitOrder, TimeInForce, TradingMode

Status = Literal[
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
    "unknown",
]


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, tag_field="kind"):
    """One thing that was decided for one account (empty: for the whole partition)."""

    account: str
    ts_ns: int


class Breach(msgspec.Struct, frozen=True, gc=False):
    """One broken rule: its stable code, the limit, the value, and the largest quantity that this rule lets pass."""

    code: str
    limit: int | str
    value: int | str
    largest: int = 0
    message: str = ""


class RiskInputs(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The inputs that the gate used, so that the decision can be made again."""

    price: int
    price_ts_ns: int
    market_version: int
    limits_version: int
    equity: int
    gross: int


class OrderAccepted(Event, frozen=True, gc=False, tag="order_accepted"):
    """Passed every rule: exposure is held, and the order goes to its venue under `request`."""

    order: str
    client_order_id: str
    instrument: str
    side: Side
    type: OrderType
    tif: TimeInForce
    qty: int
    hold_price: int
    request: str
    risk: RiskInputs
    price_scale: int
    qty_scale: int
    limit_price: int | None = None
    stop_price: int | None = None
    expire_ts_ns: int | None = None
    strategy: str = ""
    replaces: str = ""
    asked_expire_ts_ns: int | None = None


class OrderRefused(Event, frozen=True, gc=False, tag="order_refused"):
    """Not taken: what was asked, under which limits. `digest` is the body's when the answer is remembered.

    A repeat is only an answer, not a change.
    """

    order: str
    client_order_id: str
    code: str
    message: str
    breaches: tuple[Breach, ...] = ()
    largest: int = 0
    digest: str = ""
    repeat: bool = False
    asked: SubmitOrder | ReplaceOrder | None = None
    limits_version: int = 0


class CommandRefused(Event, frozen=True, gc=False, tag="command_refused"):
    """A cancel, a replacement or a control that was not taken."""

    command: str
    code: str
    message: str
    target: str = ""


class OrderMoved(Event, frozen=True, gc=False, tag="order_moved"):
    """An order changed its state without a fill. `request` is set when a venue must be asked."""

    order: str
    to: Status
    reason: str = ""
    request: str = ""
    venue_order_id: str = ""


class OrderFilled(Event, frozen=True, gc=False, tag="order_filled"):
    """One execution, applied once. `cost` is signed cash: positive for a buy. A late fill came after the end."""

    order: str
    instrument: str
    side: Side
    venue: str
    trade_id: str
    qty: int
    price: int
    cost: int
    fee: int
    to: Status
    late: bool = False
    overfill: int = 0
    liquidity: str = ""


class FillQuarantined(Event, frozen=True, gc=False, tag="fill_quarantined"):
    """An execution that fits no order of ours. It is kept here as it came and is never applied."""

    code: str
    order: str
    instrument: str
    side: Side
    venue: str
    trade_id: str
    qty: str
    price: str
    fee: str


class Alert(Event, frozen=True, gc=False, tag="alert"):
    """Something that a person must look at."""

    code: str
    message: str
    order: str = ""


class AccountOpened(Event, frozen=True, gc=False, tag="account_opened"):
    """An account exists from here on."""

    currency: str
    actor: str


class CashMoved(Event, frozen=True, gc=False, tag="cash_moved"):
    """Cash in (positive) or out, 1e-9 of the account's currency."""

    amount: int
    ref: str
    actor: str


class LimitsChanged(Event, frozen=True, gc=False, tag="limits_changed"):
    """A new version of the limits is in force."""

    version: int
    limits: LimitsBody
    actor: str
    reason: str = ""


class ModeChanged(Event, frozen=True, gc=False, tag="mode_changed"):
    """A trading mode was set, by a person or by a rule."""

    scope: Scope
    target: str
    old: TradingMode
    new: TradingMode
    actor: str
    reason: str = ""


class KillChanged(Event, frozen=True, gc=False, tag="kill_changed"):
    """The kill switch was pulled or lifted."""

    on: bool
    actor: str
    reason: str = ""


class OrdersRetired(Event, frozen=True, gc=False, tag="orders_retired"):
    """Orders of the account that ended at or before this time have left the state; their digests stay."""

    ended_until_ns: int


AnyEvent: TypeAlias = (
    OrderAccepted
    | OrderRefused
    | CommandRefused
    | OrderMoved
    | OrderFilled
    | FillQuarantined
    | Alert
    | AccountOpened
    | CashMoved
    | LimitsChanged
    | ModeChanged
    | KillChanged
    | OrdersRetired
)
