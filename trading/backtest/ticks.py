"""Run a strategy over recorded ticks, and bars among them, in the order that they became known."""

from collections.abc import Iterable, Sequence

import numpy as np

from trading.backtest.desk import Journal
from trading.backtest.result import Result
from trading.backtest.run import Run
from trading.backtest.series import BacktestError
from trading.backtest.terms import Terms
from trading.commands import AnyCommand
from trading.instruments import Instrument
from trading.strategies.protocol import Strategy
from trading.strategies.rows import Bar, Tick


def run_ticks(
    strategy: Strategy,
    name: str,
    messages: Iterable[Tick | Bar],
    instrument: Instrument,
    terms: Terms | None = None,
    journal: Journal | None = None,
) -> Result:
    """Run over ticks; orders meet the quotes and trades. `journal` takes each sealed record if given.

    Equity is marked at the close of each bar, or at each change of the mark if there are no bars. Without quotes the
    last trade stands with half of the terms' spread on each side.
    """
    run = Run(strategy, name, instrument, terms or Terms(), journal)
    ticks = _Ticks(run)
    marks: list[tuple[int, int]] = []
    bars: list[tuple[int, int]] = []
    last_ns = -1
    for message in messages:
        if message.ts_ns < last_ns:
            raise BacktestError("TICKS_NOT_IN_ORDER", f"a message of {message.ts_ns} came after one of {last_ns}")
        if last_ns < 0:
            run.begin(message.ts_ns)
        last_ns = message.ts_ns
        if isinstance(message, Bar):
            bars.append((message.ts_ns, message.close))
            ticks.answer(run.runner.bar(message), message.ts_ns)
        else:
            ticks.take(message)
            if ticks.mark and (not marks or marks[-1][1] != ticks.mark):
                marks.append((message.ts_ns, ticks.mark))
    points = bars or marks
    if not points:
        raise BacktestError("TICKS_MISSING", f"no prices of {instrument.id}: nothing to run on")
    times = np.array([point[0] for point in points], np.int64)
    return run.result(times, np.array([point[1] for point in points], np.int64))


class _Ticks:
    """The market as ticks tell it, and the orders that meet it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._quoted = False
        self._bid: int | None = None
        self._ask: int | None = None
        self.mark = 0

    def take(self, tick: Tick) -> None:
        """Move the market by one tick, let orders meet it, then tell the strategy."""
        if tick.price is None:
            self._quote(tick)
        else:
            self._trade(tick, tick.price)
        self.answer(self._run.runner.tick(tick), tick.ts_ns)

    def answer(self, commands: Sequence[AnyCommand], ts_ns: int) -> None:
        """Work what the strategy asks for: requests meet what is shown now."""
        desk = self._run.desk
        if commands:
            self._look(ts_ns)
            desk.ask(commands, arrive_ns=ts_ns)
        desk.point(ts_ns)

    def _trade(self, tick: Tick, price: int) -> None:
        desk, venue = self._run.desk, self._run.desk.venue
        if not self._quoted:
            half = self._run.terms.half_spread
            self._bid, self._ask, self.mark = max(1, price - half), price + half, price
            desk.show(self._bid, tick.qty, self._ask, tick.qty)
        if venue.orders:
            self._look(tick.ts_ns)
            desk.settle(venue.on_trade(desk.name, tick.ts_ns, price, tick.qty), tick.ts_ns)

    def _quote(self, tick: Tick) -> None:
        desk, venue = self._run.desk, self._run.desk.venue
        if not self._quoted:
            # Real quotes take the place of the assumed spread.
            desk.hide()
            self._quoted, self._bid, self._ask = True, None, None
        # A quote of one side leaves the other as it was.
        bid = self._bid = self._bid if tick.bid is None else tick.bid
        ask = self._ask = self._ask if tick.ask is None else tick.ask
        if bid is not None and ask is not None and 0 < bid <= ask:
            self.mark = (bid + ask) // 2
        if venue.orders:
            self._look(tick.ts_ns)
        reports = venue.on_quote(desk.name, tick.ts_ns, tick.bid, tick.bid_qty, tick.ask, tick.ask_qty)
        if reports:
            desk.settle(reports, tick.ts_ns)

    def _look(self, ts_ns: int) -> None:
        if self.mark:
            self._run.desk.look(self.mark, ts_ns, self._bid, self._ask)
