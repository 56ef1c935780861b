# /// script
# requires-python = ">=3.12,<3.14"
# dependencies = ["nautilus_trader==1.231.0", "pandas<3", "numpy"]
# ///
"""The peer of `trade bench core`: nautilus_trader, a limit order at each quote, through its risk engine, then cancel.

Run `uv run deploy/peers/orders_nautilus.py [ORDERS]`; uv installs into its own cache. The last line is JSON.
"""

import json
import sys
import time
from decimal import Decimal

import nautilus_trader
import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

START_NS = 1_704_067_200_000_000_000
VENUE = Venue("SIM")
BTCUSDT = CurrencyPair(
    instrument_id=InstrumentId(Symbol("BTCUSDT"), VENUE),
    raw_symbol=Symbol("BTCUSDT"),
    base_currency=BTC,
    quote_currency=USDT,
    price_precision=2,
    size_precision=0,
    price_increment=Price(0.01, 2),
    size_increment=Quantity(1, 0),
    max_quantity=Quantity(1000, 0),
    min_quantity=Quantity(1, 0),
    margin_init=Decimal("0.01"),
    margin_maint=Decimal("0.01"),
    maker_fee=Decimal("0.0002"),
    taker_fee=Decimal("0.0005"),
    ts_event=0,
    ts_init=0,
)


class RestAndCancel(Strategy):
    """Rests one order at each quote and cancels the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.last = None
        self.accepted = self.cancelled = 0

    def on_start(self) -> None:
        self.subscribe_quote_ticks(BTCUSDT.id)

    def on_quote_tick(self, _tick: QuoteTick) -> None:
        if self.last is not None:
            self.cancel_order(self.last)
        self.last = self.order_factory.limit(BTCUSDT.id, OrderSide.BUY, Quantity(1, 0), Price(50.0, 2))
        self.submit_order(self.last)

    def on_order_accepted(self, _event: object) -> None:
        self.accepted += 1

    def on_order_canceled(self, _event: object) -> None:
        self.cancelled += 1


def main(orders: int) -> None:
    """Run and print."""
    walk = np.random.default_rng(7).normal(0, 1e-5, orders)
    size = Quantity(1_000_000, 0)
    quotes = [
        QuoteTick(BTCUSDT.id, Price(mid - 0.01, 2), Price(mid + 0.01, 2), size, size, at, at)
        for mid, at in zip(
            np.round(100 * np.exp(np.cumsum(walk)), 2).tolist(),
            range(START_NS, START_NS + orders * 10**6, 10**6),
            strict=True,
        )
    ]
    rate = "1000000/00:00:01"
    risk = RiskEngineConfig(
        max_order_submit_rate=rate, max_order_modify_rate=rate, max_notional_per_order={str(BTCUSDT.id): 1_000_000}
    )
    engine = BacktestEngine(
        BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False, risk_engine=risk)
    )
    cash = [Money(10_000_000, USDT)]
    engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, cash, base_currency=None, default_leverage=Decimal(10))
    engine.add_instrument(BTCUSDT)
    engine.add_data(quotes)
    strategy = RestAndCancel()
    engine.add_strategy(strategy)
    begun, begun_cpu = time.perf_counter(), time.process_time()
    engine.run()
    run_s, cpu_s = time.perf_counter() - begun, time.process_time() - begun_cpu
    assert (strategy.accepted, strategy.cancelled) == (orders, orders - 1)
    peer = f"nautilus_trader {nautilus_trader.__version__}"
    figures = {"orders": orders, "orders_per_s": orders / run_s, "cpu_us_per_order": cpu_s / orders * 1e6}
    print(json.dumps({"peer": peer, **figures}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
