"""The account, the clock, the calendar, the assets and the portfolio history under /v2."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from streaming.api import times
from streaming.api.errors import ApiError
from streaming.api.operations import Call, Operation
from streaming.api.order_models import Time
from streaming.api.positions import exchange_of
from streaming.api.symbols import account_uuid, asset_id
from streaming.api.valuation import worth
from trading.amounts import CASH_SCALE, to_decimal, to_text
from trading.instruments import Instrument
from trading.market.sessions import DAY_NS, calendar
from trading.orders.state import State

SESSIONS = "XNYS"
MAX_CALENDAR_DAYS = 3_660
MAX_POINTS = 5_000
STEPS_S = {"1Min": 60, "5Min": 300, "15Min": 900, "1H": 3_600, "1D": 86_400}
PERIODS_D = {"D": 1, "W": 7, "M": 30, "A": 365}


class Account(msgspec.Struct, frozen=True):
    """An account in Alpaca's words."""

    id: str
    account_number: str
    status: Literal["ACTIVE"]
    crypto_status: Literal["ACTIVE"]
    currency: str
    cash: str
    equity: str
    last_equity: str
    portfolio_value: str
    buying_power: str
    regt_buying_power: str
    daytrading_buying_power: str
    non_marginable_buying_power: str
    long_market_value: str
    short_market_value: str
    position_market_value: str
    initial_margin: str
    maintenance_margin: str
    last_maintenance_margin: str
    accrued_fees: str
    multiplier: str
    sma: str
    daytrade_count: int
    shorting_enabled: bool
    pattern_day_trader: bool
    trading_blocked: bool
    transfers_blocked: bool
    account_blocked: bool
    trade_suspended_by_user: bool
    created_at: str


class Clock(msgspec.Struct, frozen=True):
    """The market clock of US equities, by the desk's time."""

    timestamp: str
    is_open: bool
    next_open: str
    next_close: str


class Day(msgspec.Struct, frozen=True):
    """One trading day, times of New York."""

    date: str
    open: str
    close: str


class Asset(msgspec.Struct, frozen=True, rename={"class_": "class"}):
    """An instrument in Alpaca's words."""

    id: str
    class_: str
    exchange: str
    symbol: str
    name: str
    status: Literal["active", "inactive"]
    tradable: bool
    marginable: bool
    shortable: bool
    easy_to_borrow: bool
    fractionable: bool
    min_order_size: str
    min_trade_increment: str
    price_increment: str
    attributes: tuple[str, ...]


class Portfolio(msgspec.Struct, frozen=True):
    """Equity over time: one point for each step in which it was measured. Profit is since the start of the stretch."""

    timestamp: list[int]
    equity: list[float]
    profit_loss: list[float]
    profit_loss_pct: list[float]
    base_value: float
    timeframe: str


class CalendarQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which date to which, both inside; without them from today, and to a year from now."""

    start: Time | None = None
    end: Time | None = None


class AssetQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which assets."""

    status: Literal["active", "inactive"] | None = None
    asset_class: Annotated[str, Meta(max_length=32)] | None = None
    exchange: Annotated[str, Meta(max_length=32)] | None = None
    attributes: Annotated[str, Meta(max_length=256)] | None = None


class PortfolioQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which stretch of time, and how fine."""

    period: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}[DWMA]$")] = "1M"
    timeframe: Literal["1Min", "5Min", "15Min", "1H", "1D"] = "1D"
    start: Time | None = None
    end: Time | None = None
    date_end: Time | None = None
    extended_hours: bool | None = None
    intraday_reporting: Literal["market_hours", "extended_hours", "continuous"] | None = None
    pnl_reset: Literal["per_day", "no_reset"] | None = None
    cashflow_types: Annotated[str, Meta(max_length=256)] | None = None


async def account(call: Call) -> Account:
    """Return the account of the key."""
    name, market = call.key.account, call.services.desk.market
    now_ns = call.services.desk.now_ns()
    history = call.services.history
    last = history.equity_before(name, now_ns - now_ns % DAY_NS)
    if last is None:
        # Until its first day is over, an account was worth what was paid in.
        await call.catch_up()
        last = history.cash_moved(name, now_ns + 1)

    def look(state: State) -> Account:
        found = _account(state, name)
        sums = worth(found, market)
        equity, power = _cash(sums.equity), _cash(sums.buying_power)
        mode, _ = state.controls.covering(name, "", "")
        blocked = state.controls.killed or mode == "halted"
        margin = sums.gross * sums.margin_bps // 10_000
        kept = _cash(sums.held * sums.margin_bps // 10_000)
        return Account(
            id=account_uuid(name),
            account_number=name,
            status="ACTIVE",
            crypto_status="ACTIVE",
            currency=found.exposure.currency,
            cash=_cash(sums.cash),
            equity=equity,
            last_equity=_cash(last),
            portfolio_value=equity,
            buying_power=power,
            regt_buying_power=power,
            daytrading_buying_power=power,
            non_marginable_buying_power=_cash(max(0, min(sums.cash, sums.equity - sums.gross))),
            long_market_value=_cash(sums.long),
            short_market_value=_cash(sums.short),
            position_market_value=_cash(sums.long + sums.short),
            initial_margin=_cash(margin),
            maintenance_margin=kept,
            last_maintenance_margin=kept,
            accrued_fees="0",
            multiplier=to_text(10_000 * 100 // sums.margin_bps, 2),
            sma="0",
            daytrade_count=0,
            shorting_enabled=found.limits is not None and found.limits.body.short_allowed,
            pattern_day_trader=False,
            trading_blocked=blocked or found.limits is None,
            transfers_blocked=False,
            account_blocked=False,
            trade_suspended_by_user=state.controls.mode_of("account", name, "") == "halted",
            created_at=times.to_text(found.opened_ts_ns),
        )

    return await call.services.desk.read(name, look)


async def clock(call: Call) -> Clock:
    """Return the market clock."""
    now_ns, sessions = call.services.desk.now_ns(), calendar(SESSIONS)
    offset_ns = sessions.local_date(now_ns) * DAY_NS - sessions.midnight_ns(sessions.local_date(now_ns))
    opens, closes = [], []
    for date in range(sessions.local_date(now_ns), sessions.local_date(now_ns) + 15):
        hours = sessions.hours_ns(date)
        if hours is not None:
            opens += [hours[0]] if hours[0] > now_ns else []
            closes += [hours[1]] if hours[1] > now_ns else []
    first_open, first_close = min(opens, default=now_ns), min(closes, default=now_ns)
    shown = (times.to_offset_text(ts_ns, offset_ns) for ts_ns in (now_ns, first_open, first_close))
    stamp, next_open, next_close = shown
    return Clock(stamp, sessions.is_open(now_ns), next_open, next_close)


async def days(call: Call) -> list[Day]:
    """Return the trading days of a stretch of time."""
    today = call.services.desk.now_ns() // DAY_NS
    start = today if call.query.start is None else times.parse("start", call.query.start) // DAY_NS
    if call.query.end is None:
        end = min(max(start, today) + 366, start + MAX_CALENDAR_DAYS)
    else:
        end = times.parse("end", call.query.end) // DAY_NS
    if end - start > MAX_CALENDAR_DAYS:
        raise ApiError(422, "RANGE_TOO_LONG", f"ask for at most {MAX_CALENDAR_DAYS} days", "end")
    sessions = calendar(SESSIONS)
    found = []
    for date in range(start, end + 1):
        hours = sessions.hours_ns(date)
        if hours is not None:
            offset_ns = date * DAY_NS - sessions.midnight_ns(date)
            opened, closed = (times.to_offset_text(ts_ns, offset_ns)[11:16] for ts_ns in hours)
            found.append(Day(times.to_text(date * DAY_NS)[:10], opened, closed))
    return found


async def assets(call: Call) -> list[Asset]:
    """List the instruments that have a symbol under /v2."""
    query: AssetQuery = call.query
    shown = [_asset(call, instrument) for instrument in call.services.desk.market.instruments]
    return [
        asset
        for asset in shown
        if query.status in (None, asset.status)
        and query.asset_class in (None, asset.class_)
        and query.exchange in (None, asset.exchange)
        and not query.attributes
    ]


async def asset(call: Call) -> Asset:
    """Return one instrument by symbol or id."""
    found = call.services.symbols.find(call.path["symbol"])
    if found is None:
        raise ApiError(404, "ASSET_UNKNOWN", "asset not found")
    return _asset(call, found)


async def portfolio(call: Call) -> Portfolio:
    """Return the equity over time, as measured when orders were approved, and now."""
    query: PortfolioQuery = call.query
    name, market, now_ns = call.key.account, call.services.desk.market, call.services.desk.now_ns()
    end_ns = _end_of(query, now_ns)
    length_ns = int(query.period[:-1]) * PERIODS_D[query.period[-1]] * DAY_NS
    start_ns = max(0, end_ns - length_ns) if query.start is None else times.parse("start", query.start)
    history = call.services.history
    await call.catch_up()
    points = history.equity(name, start_ns, end_ns)
    if end_ns >= now_ns:
        points.append((now_ns, await call.services.desk.read(name, lambda s: worth(_account(s, name), market).equity)))
    step_ns = STEPS_S[query.timeframe] * 10**9
    newest = {ts_ns // step_ns * step_ns: equity for ts_ns, equity in points}
    if len(newest) > MAX_POINTS:
        raise ApiError(
            422, "RANGE_TOO_LONG", f"more than {MAX_POINTS} points: ask for a coarser timeframe", "timeframe"
        )
    before = history.equity_before(name, start_ns)
    # An account that began within the stretch is measured against what was paid in.
    base, paid = (0, 0) if before is None else (before, history.cash_moved(name, start_ns))
    gains = [equity - base - history.cash_moved(name, ts_ns + step_ns) + paid for ts_ns, equity in newest.items()]
    basis = base or history.cash_moved(name, end_ns + 1)
    return Portfolio(
        [ts_ns // 10**9 for ts_ns in newest],
        [_number(equity) for equity in newest.values()],
        [_number(gain) for gain in gains],
        [round(gain / basis, 9) if basis > 0 else 0.0 for gain in gains],
        _number(basis),
        query.timeframe,
    )


def _end_of(query: PortfolioQuery, now_ns: int) -> int:
    """Return where a stretch ends: `date_end` names a day that is inside."""
    if query.end is not None:
        return times.parse("end", query.end)
    return now_ns if query.date_end is None else times.parse("date_end", query.date_end) // DAY_NS * DAY_NS + DAY_NS


def _account(state: State, name: str) -> Any:
    found = state.accounts.get(name)
    if found is None:
        raise ApiError(404, "ACCOUNT_UNKNOWN", "the account of this key has not been opened")
    return found


def _asset(call: Call, instrument: Instrument) -> Asset:
    lot = to_text(instrument.lot, instrument.qty_scale)
    return Asset(
        asset_id(instrument.id),
        instrument.asset_class,
        exchange_of(instrument),
        call.services.symbols.shown(instrument.id),
        instrument.name,
        "active" if instrument.tradable else "inactive",
        instrument.tradable,
        True,
        instrument.shortable,
        instrument.shortable,
        instrument.qty_scale > 0,
        lot,
        lot,
        to_text(instrument.tick, instrument.price_scale),
        (),
    )


def _cash(amount: int) -> str:
    return to_text(amount, CASH_SCALE)


def _number(amount: int) -> float:
    return round(float(to_decimal(amount, CASH_SCALE)), 6)


OPERATIONS = (
    Operation("GET", "/v2/account", "Get the account", "read", account, Account, errors=(404, 503)),
    Operation(
        "GET",
        "/v2/account/portfolio/history",
        "Get the equity over time",
        "read",
        portfolio,
        Portfolio,
        query=PortfolioQuery,
        errors=(404, 503),
    ),
    Operation("GET", "/v2/clock", "Get the market clock", "read", clock, Clock),
    Operation("GET", "/v2/calendar", "List trading days", "read", days, list[Day], query=CalendarQuery),
    Operation("GET", "/v2/assets", "List assets", "read", assets, list[Asset], query=AssetQuery),
    Operation("GET", "/v2/assets/{symbol}", "Get an asset", "read", asset, Asset, errors=(404,)),
)
