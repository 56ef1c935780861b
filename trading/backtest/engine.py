"""Run a strategy over recorded bars through the real order management, the risk gate and the paper venue.

While nothing is open a bar costs one call of the strategy: orders, venue and account are touched only when there is
something for them, and the equity curve is computed from whole columns at the end. The run is a function of its inputs.
"""

from trading.backtest.desk import Journal
from trading.backtest.result import Result
from trading.backtest.run import Run
from trading.backtest.series import BarSeries
from trading.backtest.terms import Terms
from trading.instruments import Instrument
from trading.strategies.protocol import Strategy


def run_bars(
    strategy: Strategy,
    name: str,
    series: BarSeries,
    instrument: Instrument,
    terms: Terms | None = None,
    journal: Journal | None = None,
) -> Result:
    """Run over bars under the convention of the terms. `journal` takes each sealed record if given."""
    run = Run.over_bars(strategy, name, instrument, terms or Terms(), journal)
    run.begin(int(series.start_ns[0]))
    waiting, context, on_bar = run.desk.venue.orders, run.runner.context, strategy.on_bar
    for bar in series.rows():
        if waiting:
            run.within(bar)
        context.message = bar
        on_bar(context, bar)
        if context.commands:
            run.at_close(bar)
    return run.result(series.ts_ns, series.close)
