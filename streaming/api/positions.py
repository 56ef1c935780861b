"""Positions under /v2: list, get, close one, close all."""

import asyncio
from decimal import Decimal
from typing import Annotated, Literal
from uuid import uuid4

import msgspec
from msgspec import Meta

from streaming.api.errors import ApiError, render
from streaming.api.operations import Call, Operation, Reply
from streaming.api.order_models import CloseResult, Order, Symbol, view
from streaming.api.orders import cancel_open, find, raise_refusal
from streaming.api.symbols import SymbolBook, asset_id
from streaming.api.valuation import mark_of, market_value
from streaming.owner.desk import SlowReaderError
from trading.accounting.pnl import average_price
from trading.amounts import CASH_SCALE, AmountError, parse_exact, to_text
from trading.commands import SubmitOrder
from trading.events import OrderAccepted
from trading.instruments import Instrument
from trading.orders.idempotency import order_id
from trading.orders.state import OrderRow, State
from trading.risk.exposure import Holding
from trading.risk.market import MarketView

# How long the venue may take to confirm cancels before positions are closed all the same.
CONFIRM_S = 3.0
AmountText = Annotated[str, Meta(pattern=r"^[0-9]{1,19}(\.[0-9]{1,12})?$")]


class Position(msgspec.Struct, frozen=True):
    """A position in Alpaca's words. Figures that need the day before are null."""

    asset_id: str
    symbol: str
    exchange: str
    asset_class: str
    asset_marginable: bool
    avg_entry_price: str
    qty: str
    qty_available: str
    side: Literal["long", "short"]
    market_value: str
    cost_basis: str
    unrealized_pl: str
    unrealized_plpc: str
    unrealized_intraday_pl: str
    unrealized_intraday_plpc: str
    current_price: str | None
    lastday_price: str | None
    change_today: str | None


class OneQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Alpaca's client for Go says again; the path decides."""

    symbol: Symbol | None = None


class CloseQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much to close: a quantity or a percentage, everything without either."""

    qty: AmountText | None = None
    percentage: AmountText | None = None


class CloseAllQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether open orders are cancelled first; the answer then waits until they are, for a few seconds."""

    cancel_orders: bool = False


def exchange_of(instrument: Instrument) -> str:
    """Return the exchange in Alpaca's words."""
    if instrument.asset_class == "crypto":
        return "CRYPTO"
    return "NYSE" if instrument.calendar == "XNYS" else ""


async def listing(call: Call) -> list[Position]:
    """List positions."""
    return await _positions(call)


async def get(call: Call) -> Position:
    """Return the position in one asset."""
    instrument = _instrument(call)
    for position in await _positions(call, instrument.id):
        return position
    raise ApiError(404, "POSITION_UNKNOWN", "position does not exist")


async def close(call: Call) -> Order:
    """Close a position, or a part of it, at the market."""
    return await _close(call, _instrument(call), call.query)


async def close_all(call: Call) -> Reply:
    """Close every position at the market."""
    if call.query.cancel_orders:
        await _cancel_first(call)
    results: list[CloseResult] = []
    for position in await _positions(call):
        instrument = call.services.symbols.find(position.asset_id)
        assert instrument is not None, "a position is in a known instrument"
        try:
            order = await _close(call, instrument, CloseQuery())
            results.append(CloseResult(position.symbol, 200, order, order.id))
        except ApiError as error:
            body = msgspec.json.decode(render(error, call.id, alpaca=True))
            plain = {name: value for name, value in body.items() if isinstance(value, str | int)}
            results.append(CloseResult(position.symbol, error.status, plain))
    return Reply(207, results)


async def _cancel_first(call: Call) -> None:
    """Cancel everything, and give the venue a while to confirm: what still rests could trade with the closing order."""
    desk, account = call.services.desk, call.key.account

    def open_orders(state: State) -> int:
        found = state.accounts.get(account)
        return 0 if found is None else len(found.open)

    subscription = desk.subscribe()
    try:
        await cancel_open(call)
        async with asyncio.timeout(CONFIRM_S):
            while await desk.read(account, open_orders):
                await anext(subscription)
    except (TimeoutError, SlowReaderError, StopAsyncIteration):
        return
    finally:
        subscription.close()


async def _positions(call: Call, instrument: str | None = None) -> list[Position]:
    account, symbols, market = call.key.account, call.services.symbols, call.services.desk.market

    def held(state: State) -> list[Position]:
        found = state.accounts.get(account)
        if found is None:
            return []
        return [
            show(holding, symbols, market)
            for name, holding in sorted(found.exposure.holdings.items())
            if holding.qty and instrument in (None, name)
        ]

    return await call.services.desk.read(account, held)


def show(holding: Holding, symbols: SymbolBook, market: MarketView) -> Position:
    """Return a position in Alpaca's words."""
    instrument = symbols.find(holding.instrument)
    assert instrument is not None, "a position is in a known instrument"
    value = market_value(holding, market)
    gain = value - holding.cost
    mark = mark_of(holding, market)
    share = f"{Decimal(gain) / abs(holding.cost):.6f}" if holding.cost else "0"
    closing = holding.sell_open if holding.qty > 0 else holding.buy_open
    return Position(
        asset_id(holding.instrument),
        symbols.shown(holding.instrument),
        exchange_of(instrument),
        instrument.asset_class,
        True,
        to_text(average_price(holding.qty, holding.cost, holding.qty_scale, holding.price_scale), CASH_SCALE),
        to_text(holding.qty, holding.qty_scale),
        to_text(max(0, abs(holding.qty) - closing), holding.qty_scale),
        "long" if holding.qty > 0 else "short",
        to_text(value, CASH_SCALE),
        to_text(holding.cost, CASH_SCALE),
        to_text(gain, CASH_SCALE),
        share,
        to_text(gain, CASH_SCALE),
        share,
        None if mark is None else to_text(mark, holding.price_scale),
        None,
        None,
    )


async def _close(call: Call, instrument: Instrument, query: CloseQuery) -> Order:
    account = call.key.account

    def held(state: State) -> int:
        found = state.accounts.get(account)
        holding = None if found is None else found.exposure.holdings.get(instrument.id)
        return 0 if holding is None else holding.qty

    qty = await call.services.desk.read(account, held)
    if not qty:
        raise ApiError(404, "POSITION_UNKNOWN", "position does not exist")
    wanted = _part(abs(qty), query, instrument)
    command = SubmitOrder(
        account=account,
        ts_ns=0,
        client_order_id=str(uuid4()),
        instrument=instrument.id,
        side="sell" if qty > 0 else "buy",
        qty=to_text(wanted, instrument.qty_scale),
        type="market",
        tif="day" if instrument.calendar != "24/7" else "gtc",
        # A close that comes twice, or beside a resting exit, must not open the other side.
        reduce_only=True,
    )
    answer = await call.services.desk.execute(command, call.cause)
    for event in answer.events:
        raise_refusal(event, instrument)
        if isinstance(event, OrderAccepted):
            return view(OrderRow(event, 0, updated_ts_ns=event.ts_ns), call.services.symbols)
    return await find(call, order_id(account, command.client_order_id))


def _part(held: int, query: CloseQuery, instrument: Instrument) -> int:
    if query.qty is not None and query.percentage is not None:
        raise ApiError(422, "FIELD_INVALID", "name qty or percentage, not both", "qty")
    try:
        if query.percentage is not None:
            share = parse_exact(query.percentage, 9)
            if not 0 < share <= 100 * 10**9:
                raise ApiError(422, "FIELD_INVALID", "percentage must be above 0 and at most 100", "percentage")
            wanted = held * share // (100 * 10**9) // instrument.lot * instrument.lot
        else:
            wanted = held if query.qty is None else parse_exact(query.qty, instrument.qty_scale)
    except AmountError as error:
        field = "percentage" if query.percentage is not None else "qty"
        raise ApiError(422, f"{field.upper()}_{error.code}", str(error), field) from None
    if not 0 < wanted <= held:
        raise ApiError(422, "QTY_EXCEEDS_POSITION", "the quantity must be above 0 and at most what is held", "qty")
    return wanted


def _instrument(call: Call) -> Instrument:
    found = call.services.symbols.find(call.path["symbol"])
    if found is None:
        raise ApiError(404, "POSITION_UNKNOWN", "position does not exist")
    return found


_ONE = (404, 503)
OPERATIONS = (
    Operation("GET", "/v2/positions", "List positions", "read", listing, list[Position], errors=(503,)),
    Operation(
        "DELETE",
        "/v2/positions",
        "Close all positions",
        "trade",
        close_all,
        list[CloseResult],
        207,
        query=CloseAllQuery,
        errors=_ONE,
    ),
    Operation("GET", "/v2/positions/{symbol}", "Get a position", "read", get, Position, query=OneQuery, errors=_ONE),
    Operation(
        "DELETE", "/v2/positions/{symbol}", "Close a position", "trade", close, Order, query=CloseQuery, errors=_ONE
    ),
)
