"""Everything that may enter the owner of an account: client commands, venue reports, controls and the timer.

One tagged union, JSON on `orders.commands`. Amounts are decimal strings, because strangers write them; time is `ts_ns`.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from trading.codec import MAX_MESSAGE_BYTES, CodecError

COMMANDS_SCHEMA = "orders.commands/1"
Side = Literal["buy", "sell"]
OrderType = Literal["market", "limit", "stop", "stop_limit"]
TimeInForce = Literal["day", "gtc", "ioc", "fok", "gtd"]
TradingMode = Literal["active", "reducing", "halted"]
Scope = Literal["global", "account", "strategy", "instrument"]
Verb = Literal["new", "cancel", "replace"]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Amount = Annotated[str, Meta(min_length=1, max_length=40)]
Note = Annotated[str, Meta(max_length=256)]
TimeNs = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="kind"):
    """What every command has: the account whose owner takes it, and the time of the owner's clock."""

    account: Annotated[str, Meta(max_length=128)]
    ts_ns: TimeNs


class SubmitOrder(Command, frozen=True, kw_only=True, gc=False, tag="submit"):
    """A new order. The same client id with the same body is the same order, for ever.

    `reduce_only`: it passes only if the position shrinks, even when every open order on its side is filled first.
    """

    client_order_id: Name
    instrument: Name
    side: Side
    qty: Amount
    type: OrderType
    tif: TimeInForce = "day"
    limit_price: Amount | None = None
    stop_price: Amount | None = None
    expire_ts_ns: TimeNs | None = None
    strategy: Annotated[str, Meta(max_length=128)] = ""
    reduce_only: bool = False


class CancelOrder(Command, frozen=True, kw_only=True, gc=False, tag="cancel"):
    """Ask for the cancellation of one order, by our order id."""

    order: Name


class CancelAll(Command, frozen=True, kw_only=True, gc=False, tag="cancel_all"):
    """Ask for the cancellation of every open order of the account, or of one instrument or strategy."""

    instrument: str | None = None
    strategy: str | None = None


class ReplaceOrder(Command, frozen=True, kw_only=True, gc=False, tag="replace"):
    """Replace an open order by a new one. What is not given stays; `qty` is the total, what was filled included."""

    order: Name
    client_order_id: Name
    qty: Amount | None = None
    limit_price: Amount | None = None
    stop_price: Amount | None = None
    tif: TimeInForce | None = None


class Report(Command, frozen=True, kw_only=True, gc=False):
    """What a venue said about one of our orders.

    `seen_ns` is the time of the newest tick of the instrument that the venue had seen then, 0 where it does not say:
    with it the same market can be met again at the same place.
    """

    order: Name
    venue: Annotated[str, Meta(max_length=64)] = ""
    seen_ns: TimeNs = 0


class VenueAccepted(Report, frozen=True, kw_only=True, gc=False, tag="accepted"):
    """The order works at the venue, or is held there until a trigger."""

    venue_order_id: Annotated[str, Meta(max_length=128)] = ""
    held: bool = False


class VenueRejected(Report, frozen=True, kw_only=True, gc=False, tag="rejected"):
    """A definitive no to one request: the order, its cancel or its replacement (`order` is the new one). No effect."""

    request: Verb = "new"
    code: Note = ""


class VenueFill(Report, frozen=True, kw_only=True, gc=False, tag="fill"):
    """One execution. (venue, trade id) is unique in an account. The fee is in the instrument's currency."""

    trade_id: Name
    instrument: Name
    side: Side
    qty: Amount
    price: Amount
    fee: Amount = "0"
    liquidity: Literal["", "maker", "taker"] = ""


class VenueCanceled(Report, frozen=True, kw_only=True, gc=False, tag="canceled"):
    """The order no longer works: cancelled on request or by the venue."""

    reason: Note = ""


class VenueExpired(Report, frozen=True, kw_only=True, gc=False, tag="expired"):
    """The time in force of the order has ended."""


class VenueReplaced(Report, frozen=True, kw_only=True, gc=False, tag="replaced"):
    """`order` was replaced by `new_order`, which works now."""

    new_order: Name
    venue_order_id: Annotated[str, Meta(max_length=128)] = ""


class VenueUnknown(Report, frozen=True, kw_only=True, gc=False, tag="unknown"):
    """A request was sent and nothing certain came back. Exposure stays reserved; the gateway asks."""

    request: Verb = "new"
    reason: Note = ""


class VenueState(Report, frozen=True, kw_only=True, gc=False, tag="state"):
    """The answer to a query. `found=False` means that the venue will never have such an order."""

    found: bool
    status: Literal["", "new", "held", "filled", "canceled", "expired", "rejected"] = ""
    venue_order_id: Annotated[str, Meta(max_length=128)] = ""
    filled_qty: Amount = "0"


class OpenAccount(Command, frozen=True, kw_only=True, gc=False, tag="open_account"):
    """Create an account. It cannot trade before it has limits and cash."""

    actor: Name
    currency: Annotated[str, Meta(min_length=1, max_length=16)] = "USD"


class Deposit(Command, frozen=True, kw_only=True, gc=False, tag="deposit"):
    """Move cash in, or out when negative. `ref` makes it idempotent."""

    actor: Name
    ref: Name
    amount: Amount


class InstrumentLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Quantities in whole units that replace the account's default for one instrument."""

    max_order_qty: Amount
    max_position_qty: Amount


class LimitsBody(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Every limit of an account. None has a default: a limit that is not given is not a limit."""

    max_order_qty: Amount
    max_order_value: Amount
    max_position_qty: Amount
    max_var: Amount
    collar_bps: Annotated[int, Meta(ge=1, le=10_000)]
    concentration_bps: Annotated[int, Meta(ge=1, le=100_000)]
    margin_bps: Annotated[int, Meta(ge=1, le=10_000)]
    max_open_orders: Annotated[int, Meta(ge=1, le=100_000)]
    message_rate: Annotated[int, Meta(ge=1, le=1_000_000)]
    message_burst: Annotated[int, Meta(ge=1, le=1_000_000)]
    repeat_count: Annotated[int, Meta(ge=2, le=1_000)]
    repeat_window_ms: Annotated[int, Meta(ge=1, le=3_600_000)]
    price_max_age_ms: Annotated[int, Meta(ge=1, le=86_400_000)]
    valuation_max_age_ms: Annotated[int, Meta(ge=1, le=2_592_000_000)]
    ack_timeout_ms: Annotated[int, Meta(ge=1, le=3_600_000)]
    order_timeout_ms: Annotated[int, Meta(ge=0, le=31_536_000_000)]
    short_allowed: bool
    instruments: dict[str, InstrumentLimits] = {}


class SetLimits(Command, frozen=True, kw_only=True, gc=False, tag="set_limits"):
    """Put a new version of the account's limits in force."""

    actor: Name
    limits: LimitsBody
    reason: Note = ""


class SetMode(Command, frozen=True, kw_only=True, gc=False, tag="set_mode"):
    """Set the trading mode of everything, an account, a strategy or an instrument."""

    actor: Name
    scope: Scope
    mode: TradingMode
    target: Annotated[str, Meta(max_length=128)] = ""
    reason: Note = ""


class Kill(Command, frozen=True, kw_only=True, gc=False, tag="kill"):
    """Stop everything: refuse each new order from the next command on, and cancel what is open."""

    actor: Name
    reason: Note = ""
    cancel_open: bool = True


class Revive(Command, frozen=True, kw_only=True, gc=False, tag="revive"):
    """Lift the kill switch. Another person than the one who pulled it must ask."""

    actor: Name
    reason: Note = ""


class Timer(Command, frozen=True, kw_only=True, gc=False, tag="timer"):
    """The owner's clock has reached `ts_ns`: expiry, timeouts and the leaving of old orders."""


ClientCommand: TypeAlias = SubmitOrder | CancelOrder | CancelAll | ReplaceOrder
VenueReport: TypeAlias = (
    VenueAccepted | VenueRejected | VenueFill | VenueCanceled | VenueExpired | VenueReplaced | VenueUnknown | VenueState
)
Control: TypeAlias = OpenAccount | Deposit | SetLimits | SetMode | Kill | Revive
AnyCommand: TypeAlias = ClientCommand | VenueReport | Control | Timer

_PREFIX = b'{"schema":"' + COMMANDS_SCHEMA.encode() + b'",'
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyCommand)


class _Head(msgspec.Struct):
    schema: str = ""


_head = msgspec.json.Decoder(_Head)


def encode_command(command: AnyCommand) -> bytes:
    """Return the JSON bytes of a command, schema first."""
    return _PREFIX + _encoder.encode(command)[1:]


def decode_command(payload: bytes) -> AnyCommand:
    """Return the command; raise `CodecError` TOO_LARGE, CORRUPT, WRONG_SCHEMA or BAD_FIELD."""
    if len(payload) > MAX_MESSAGE_BYTES:
        raise CodecError("TOO_LARGE", f"message of {len(payload)} bytes, {MAX_MESSAGE_BYTES} allowed")
    try:
        if not payload.startswith(_PREFIX):
            schema = _head.decode(payload).schema
            if schema != COMMANDS_SCHEMA:
                raise CodecError("WRONG_SCHEMA", f"schema {schema!r}, wanted {COMMANDS_SCHEMA!r}")
        command: AnyCommand = _decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise CodecError("BAD_FIELD", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError("CORRUPT", f"not a JSON message: {error}") from None
    return command
