"""Live and backtest agree: a seeded day, traded on paper by the whole ring, gives the same orders and fills again.

Each order must be equal in id, instrument, side, quantity, type and the bar that asked for it; each fill in order,
trade id, side, quantity, price, cost, fee and the tick that the market stood at; cash and position in the end.

Different by design is only what the way through the ring adds: the owner decides and hears of fills later than the bar
ends, on its own clock, and so the gate's inputs are those of then. When a request met the market is taken from the
record: the venue had seen each tick of the bar that asked for it, at least.
"""

from bisect import bisect_right
from collections.abc import Iterable
from heapq import merge
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.paper_day import FEE_PPM, INSTRUMENT, PaperDay, trade_day, write_day
from trading.amounts import to_text
from trading.backtest.result import Result
from trading.backtest.terms import Terms, recorded_latency
from trading.backtest.ticks import run_ticks
from trading.commands import SubmitOrder, VenueFill
from trading.events import OrderAccepted, OrderFilled, OrderRefused
from trading.instruments import CATALOGUE
from trading.orders.idempotency import order_id
from trading.routing.models import Models, PpmFee
from trading.strategies.catalog import make_strategy
from trading.strategies.context import Context
from trading.strategies.rows import Bar, Tick

ABOUT = CATALOGUE[INSTRUMENT]
SMA = {"fast": 3, "slow": 8, "qty": "100"}


def again(day: PaperDay, name: str, parameters: dict[str, Any]) -> Result:
    """Return the backtest of a day over what its topics kept."""
    strategy = make_strategy(name, {"instrument": INSTRUMENT} | parameters)
    unheard = Context("paper", name, CATALOGUE)
    strategy.on_start(unheard)
    for bar in day.bars[: day.warmed]:
        # Bars from before the strategy role was ready: it saw them without a voice.
        strategy.on_bar(unheard, bar)
    models = Models(latency=recorded_latency(day.commands), fees=PpmFee(FEE_PPM, FEE_PPM))
    heard: list[Iterable[Tick | Bar]] = [day.ticks, day.bars[day.warmed :]]
    messages = merge(*heard, key=lambda message: message.ts_ns)
    return run_ticks(strategy, name, messages, ABOUT, Terms(account="paper", models=models))


def check_day(folder: Path, name: str, parameters: dict[str, Any], seed: int) -> None:
    """Trade a day live, run it again, and compare every order, every fill and what they come to."""
    day = trade_day(folder / "home", write_day(folder / "day", seed), name, parameters)
    result = again(day, name, parameters)
    assert not [event for event in day.events if isinstance(event, OrderRefused)]
    assert result.refusals == []

    asked = [
        (order_id(c.account, c.client_order_id), c.instrument, c.side, c.qty, c.type, c.ts_ns)
        for c in day.commands
        if isinstance(c, SubmitOrder)
    ]
    accepted = [event.order for event in day.events if isinstance(event, OrderAccepted)]
    ordered = [(o.order, o.instrument, o.side, to_text(o.qty, 0), o.type, o.ts_ns) for o in result.orders]
    assert len(asked) >= 8
    assert ordered == asked
    assert accepted == [row[0] for row in asked]

    ticks = [tick.ts_ns for tick in day.ticks]
    seen = {c.trade_id: c.seen_ns for c in day.commands if isinstance(c, VenueFill)}
    fills = [event for event in day.events if isinstance(event, OrderFilled)]
    assert len(fills) > len(asked), "some orders fill in parts"
    assert [row_of(fill) for fill in result.fills] == [row_of(fill) for fill in fills]
    met = [ticks[bisect_right(ticks, fill.ts_ns) - 1] for fill in result.fills]
    assert met == [seen[fill.trade_id] for fill in fills]
    arrivals = recorded_latency(day.commands).arrivals
    for row in asked:
        last_of_bar = ticks[bisect_right(ticks, row[5]) - 1]
        assert arrivals[row[0], "new"] >= last_of_bar, "no order meets a market from before its bar ended"
    delays = {arrivals[row[0], "new"] - row[5] for row in asked}
    assert len(delays) > 1, "the way was always equally long, so this proves little"

    cash = 1_000_000 * 10**9 - sum(fill.cost + fill.fee for fill in fills)
    held = sum(fill.qty if fill.side == "buy" else -fill.qty for fill in fills)
    assert (int(result.curve.cash[-1]), int(result.curve.position[-1])) == (cash, held)


def row_of(fill: OrderFilled) -> tuple[Any, ...]:
    """Return what must be equal of a fill."""
    return fill.order, fill.trade_id, fill.side, fill.qty, fill.price, fill.cost, fill.fee, fill.liquidity, fill.to


def test_a_paper_day_gives_the_same_orders_and_fills_in_the_backtest(tmp_path: Path) -> None:
    check_day(tmp_path, "sma", SMA, seed=7)


@pytest.mark.soak
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sma", SMA | {"short": True}),
        ("reversion", {"window": 8, "entry_z_hundredths": 120, "qty": "100", "short": True}),
    ],
)
def test_more_paper_days(tmp_path: Path, name: str, parameters: dict[str, Any], seed: int) -> None:
    check_day(tmp_path, name, parameters, seed)
