"""Which rules an order breaks, worked out from the ledger by brute force. Fractions, no caches, no early exit.

A figure so near its bound that the product's whole-unit rounding decides is left out: such codes are `unsure`.
"""

from decimal import Decimal
from fractions import Fraction
from math import sqrt
from typing import NamedTuple, Never

import numpy as np

from tests.simulation.ledger import Book, Known, Ledger, mode_of, scaled
from trading.commands import ReplaceOrder, SubmitOrder
from trading.instruments import Instrument
from trading.risk.market import MarketView, Quote
from trading.risk.var import COVARIANCE_SCALE, RETURN_SCALE, Z99_SQUARED

BPS = 10_000
MS = 10**6
FUTURE_NS = 5 * 10**9
# Relative distance from a bound below which rounding may decide.
NEAR = Fraction(1, 10_000)
EARLY = frozenset(
    {
        *("LIMITS_MISSING", "PRICE_MISSING", "PRICE_STALE", "RISK_PARAMETERS_MISSING"),
        *("RISK_FAILED",),
    }
)
STRICTNESS = {"active": 0, "reducing": 1, "halted": 2}


class BrokenQuotes(dict[str, Quote]):
    """Prices that raise when they are read."""

    def get(self, *_: object) -> Never:
        """Raise."""
        raise ZeroDivisionError("the feed is broken")


class Wish(NamedTuple):
    """An order as it would be held, amounts in the instrument's scale."""

    account: str
    instrument: Instrument
    side: int
    qty: int
    limit: int | None
    stop: int | None
    strategy: str
    likeness: tuple[object, ...]
    freed_qty: int
    freed_raw: int
    replacing: bool


class Finding(NamedTuple):
    """The codes of the broken rules, and those that are too close to call."""

    codes: frozenset[str]
    unsure: frozenset[str] = frozenset()


def wish_of(ledger: Ledger, command: SubmitOrder | ReplaceOrder, market: MarketView) -> Wish:
    """Return what a well-formed command asks for."""
    body = ledger.body_of(command)
    name, side_name, qty, type_, _, limit, stop, _, strategy, _ = body
    instrument = market.instruments[str(name)]
    parent = ledger.orders[command.order] if isinstance(command, ReplaceOrder) else None
    done = 0 if parent is None else parent.filled + ledger.inherited(parent)
    freed = (0, 0) if parent is None else ledger.hold(parent)
    side = 1 if side_name == "buy" else -1
    scales = (instrument.qty_scale, instrument.price_scale, instrument.price_scale)
    amounts = [
        scaled(value, scale)
        for value, scale in zip((qty, limit, stop), scales, strict=True)
        if value is None or isinstance(value, Decimal)
    ]
    whole, limit_price, stop_price = amounts
    assert whole is not None
    size = whole - done
    alike = (strategy, name, side, whole, type_, limit_price, stop_price)
    return Wish(
        *(command.account, instrument, side, size, limit_price, stop_price, str(strategy), alike),
        *freed,
        parent is not None,
    )


def broken(ledger: Ledger, wish: Wish, market: MarketView, now_ns: int) -> Finding:
    """Return every rule that the order breaks."""
    book = ledger.books[wish.account]
    early = _missing(ledger, book, wish, market, now_ns)
    codes = {"KILL_SWITCH"} if ledger.killed_by is not None else set()
    if early:
        return Finding(frozenset(codes | {early}))
    assert book.limits is not None
    sums = _Sums(ledger, book, wish, market)
    codes |= _controls(ledger, wish, sums)
    codes |= _plain(ledger, book, wish, sums, now_ns)
    unsure: set[str] = set()
    for code, excess in {**_money(book, wish, sums), **_var(book, wish, sums, market)}.items():
        if abs(excess) <= NEAR:
            unsure.add(code)
        elif excess > 0:
            codes.add(code)
    return Finding(frozenset(codes), frozenset(unsure))


def _missing(ledger: Ledger, book: Book, wish: Wish, market: MarketView, now_ns: int) -> str:
    name = wish.instrument.id
    if book.limits is None:
        return "LIMITS_MISSING"
    if isinstance(market.quotes, BrokenQuotes):
        return "RISK_FAILED"
    quote = market.quotes.get(name)
    if quote is None:
        return "PRICE_MISSING"
    if not -FUTURE_NS <= now_ns - quote.ts_ns <= book.limits.price_max_age_ms * MS:
        return "PRICE_STALE"
    if market.model is None or name not in market.model.index:
        return "RISK_PARAMETERS_MISSING"
    exposed = {i for i, qty in book.positions.items() if qty}
    exposed |= {o.intent.instrument for o in ledger.open_orders(wish.account)}
    for other in sorted(exposed):
        seen = market.quotes.get(other)
        if seen is None:
            return "PRICE_MISSING"
        if now_ns - seen.ts_ns > book.limits.valuation_max_age_ms * MS:
            return "PRICE_STALE"
        if other not in market.model.index:
            return "RISK_PARAMETERS_MISSING"
    return ""


class _Sums:
    """Exposure of the account in every instrument, price x quantity as fractions of cash."""

    def __init__(self, ledger: Ledger, book: Book, wish: Wish, market: MarketView) -> None:
        self.mark = market.quotes[wish.instrument.id].mark
        self.unit = _unit(wish.instrument)
        self.held = {
            name: qty * market.quotes[name].mark * _unit(market.instruments[name])
            for name, qty in book.positions.items()
            if qty
        }
        self.position = book.positions.get(wish.instrument.id, 0)
        self.open: dict[tuple[str, int], Fraction] = {}
        self.open_qty = 0
        self.rows: list[Known] = ledger.open_orders(wish.account)
        for order in self.rows:
            qty, raw = ledger.hold(order)
            key = (order.intent.instrument, order.side)
            unit = _unit(market.instruments[order.intent.instrument])
            self.open[key] = self.open.get(key, Fraction(0)) + raw * unit
            if key == (wish.instrument.id, wish.side):
                self.open_qty += qty
        self.open_qty -= wish.freed_qty
        self.equity = book.cash + sum(self.held.values(), Fraction(0))
        assert book.limits is not None
        self.price = _hold_price(wish, self.mark, book.limits.collar_bps)
        self.value = wish.qty * self.price * self.unit

    def sides(self, name: str) -> tuple[Fraction, Fraction]:
        """Return what the account could come to be long and short in an instrument."""
        held = self.held.get(name, Fraction(0))
        return held + self.open.get((name, 1), Fraction(0)), self.open.get((name, -1), Fraction(0)) - held

    @property
    def names(self) -> set[str]:
        """Return the instruments with any exposure."""
        return set(self.held) | {name for name, _ in self.open}


def _unit(instrument: Instrument) -> Fraction:
    return Fraction(10**9, 10 ** (instrument.price_scale + instrument.qty_scale))


def _hold_price(wish: Wish, mark: int, bps: int) -> int:
    if wish.limit is not None:
        return wish.limit if wish.side > 0 else max(wish.limit, mark)
    worst = Fraction(max(wish.stop or 0, mark) * (BPS + bps), BPS)
    return -(-worst.numerator // worst.denominator)


def _controls(ledger: Ledger, wish: Wish, sums: _Sums) -> set[str]:
    name = wish.instrument.id
    places = [("global", "", ""), ("account", wish.account, "")]
    places += [("strategy", owner, wish.strategy) for owner in (wish.account, "")]
    places += [("instrument", owner, name) for owner in (wish.account, "")]
    mode = max((ledger.modes.get(mode_of(*place), "active") for place in places), key=STRICTNESS.__getitem__)
    if mode == "halted":
        return {"TRADING_HALTED"}
    if mode == "reducing" and wish.qty > -wish.side * sums.position - sums.open_qty:
        return {"REDUCE_ONLY"}
    return set()


def _plain(ledger: Ledger, book: Book, wish: Wish, sums: _Sums, now_ns: int) -> set[str]:
    limits, instrument = book.limits, wish.instrument
    assert limits is not None
    scale = 10**instrument.qty_scale
    gap_ns = 10**9 // limits.message_rate
    recent = [ts for ts, alike in book.alike if alike == wish.likeness and ts > now_ns - limits.repeat_window_ms * MS]
    against = [
        o.intent.limit_price
        for o in sums.rows
        if o.intent.instrument == instrument.id
        and o.side == -wish.side
        and (o.intent.limit_price is not None or o.intent.stop_price is None)
    ]
    prices = [price for price in (wish.limit, wish.stop) if price is not None]
    after = wish.side * sums.position + sums.open_qty + wish.qty
    available = sums.position - sums.open_qty
    shorts = limits.short_allowed and instrument.shortable
    rules = {
        "INSTRUMENT_NOT_TRADABLE": not instrument.tradable,
        "CURRENCY_MISMATCH": instrument.currency != "USD",
        "PRICE_NOT_MULTIPLE_OF_TICK": any(price % instrument.tick for price in prices),
        "QTY_NOT_MULTIPLE_OF_LOT": wish.qty % instrument.lot != 0,
        "MAX_ORDER_QTY": wish.qty > Fraction(limits.max_order_qty) * scale,
        "MAX_ORDER_VALUE": sums.value > Fraction(limits.max_order_value) * 10**9,
        "PRICE_COLLAR": _beyond_collar(wish, sums.mark, limits.collar_bps),
        "MAX_POSITION": after > Fraction(limits.max_position_qty) * scale,
        "SHORT_RESTRICTED": wish.side < 0 and not shorts and wish.qty > max(0, available),
        "MESSAGE_RATE": book.spent_until_ns - now_ns > (limits.message_burst - 1) * gap_ns,
        "REPEATED_ORDER": len(recent) >= limits.repeat_count - 1,
        "SELF_TRADE": any(
            wish.limit is None or price is None or wish.side * (wish.limit - price) >= 0 for price in against
        ),
        "MAX_OPEN_ORDERS": not wish.replacing and len(sums.rows) >= limits.max_open_orders,
    }
    return {code for code, yes in rules.items() if yes}


def _beyond_collar(wish: Wish, mark: int, bps: int) -> bool:
    if wish.limit is None:
        return False
    if wish.side > 0:
        return wish.limit * BPS > max(wish.stop or 0, mark) * (BPS + bps)
    return wish.limit * BPS < min(wish.stop or mark, mark) * (BPS - bps)


def _money(book: Book, wish: Wish, sums: _Sums) -> dict[str, Fraction]:
    limits, name = book.limits, wish.instrument.id
    assert limits is not None
    long, short = sums.sides(name)
    ahead, behind = (long, short) if wish.side > 0 else (short, long)
    freed = wish.freed_raw * sums.unit
    after = ahead - freed + sums.value
    share = max(Fraction(0), sums.equity * limits.concentration_bps / BPS)
    others = sum((max(sums.sides(other)) for other in sums.names - {name}), Fraction(0))
    allowed = max(sums.equity * BPS / limits.margin_bps - others, ahead, behind)
    return {
        "CONCENTRATION": _excess(after, share) if after > 0 else Fraction(-1),
        "BUYING_POWER": _excess(max(after, behind), allowed),
    }


def _excess(value: Fraction, limit: Fraction) -> Fraction:
    return (value - limit) / max(abs(value), abs(limit), Fraction(10**9))


def _var(book: Book, wish: Wish, sums: _Sums, market: MarketView) -> dict[str, Fraction]:
    model = market.model
    assert model is not None
    assert book.limits is not None
    now = np.zeros(len(model.names))
    for name in sums.names:
        long_open, short_open = sums.open.get((name, 1), Fraction(0)), sums.open.get((name, -1), Fraction(0))
        now[model.index[name]] = float(sums.held.get(name, Fraction(0)) + long_open - short_open)
    then = now.copy()
    then[model.index[wish.instrument.id]] += wish.side * float(sums.value - wish.freed_raw * sums.unit)
    limit = float(Fraction(book.limits.max_var) * 10**9)
    covariance = np.array(model.cov, float) / COVARIANCE_SCALE
    found = {}
    for code, figure in (("VAR_PARAMETRIC", _parametric), ("VAR_HISTORICAL", _historical)):
        data = covariance if code == "VAR_PARAMETRIC" else model.returns / RETURN_SCALE
        before, after = figure(now, data), figure(then, data)
        found[code] = _excess(Fraction(after), Fraction(max(limit, before)))
    return found


def _parametric(x: np.ndarray, covariance: np.ndarray) -> float:
    return sqrt(max(0.0, float(x @ covariance @ x)) * Z99_SQUARED / 10**6)


def _historical(x: np.ndarray, returns: np.ndarray) -> float:
    pnl = np.sort(x @ returns)
    return max(0.0, -float(pnl[max(1, len(pnl) // 100) - 1]))
