"""The steps of a run: open the account, let orders meet a bar, work what the strategy asks for, close the books."""

from msgspec.structs import replace

from trading.backtest.desk import BacktestDesk, Journal
from trading.backtest.path import legs, stations
from trading.backtest.result import Result, curve_of, result_of
from trading.backtest.terms import Terms
from trading.instruments import Instrument, InstrumentTable
from trading.market.batches import Array
from trading.routing.models import Participation
from trading.strategies.protocol import Strategy
from trading.strategies.rows import Bar
from trading.strategies.runner import Runner


class Run:
    """One strategy on one desk."""

    def __init__(
        self, strategy: Strategy, name: str, instrument: Instrument, terms: Terms, journal: Journal | None
    ) -> None:
        self.instrument = instrument
        self.terms = terms
        self.fill = terms.models.fill
        self.runner = Runner(strategy, name, terms.account, InstrumentTable([instrument]))
        self.desk = BacktestDesk(self.runner, instrument, terms, journal)

    @classmethod
    def over_bars(
        cls, strategy: Strategy, name: str, instrument: Instrument, terms: Terms, journal: Journal | None
    ) -> "Run":
        """Return a run that shares the volume of a bar itself: at the venue all that is shown may be taken."""
        whole = replace(terms, models=replace(terms.models, fill=Participation()))
        run = cls(strategy, name, instrument, whole, journal)
        run.fill = terms.models.fill
        return run

    def begin(self, ts_ns: int) -> None:
        """Open the account and start the strategy."""
        self.desk.open_account(ts_ns)
        self.desk.ask(self.runner.start(ts_ns), arrive_ns=None)

    def within(self, bar: Bar) -> None:
        """Let what waits and what rests meet a bar, before the strategy hears of it."""
        desk, venue, start_ns = self.desk, self.desk.venue, bar.start_ns
        deadlines = desk.state.deadlines
        while deadlines and deadlines[0][0] <= start_ns and venue.now_ns < deadlines[0][0]:
            # The window is closed: what ends between two bars ends without a fill.
            desk.settle(venue.advance(deadlines[0][0]), start_ns)
        before = len(desk.fills)
        self._show(bar.open, self._left(bar, before), start_ns)
        # A request that was on its way while nothing was known of the market arrives when it opens.
        reports = [r if r.ts_ns >= start_ns else replace(r, ts_ns=start_ns) for r in venue.advance(start_ns)]
        desk.settle(reports, start_ns)
        book = venue.books.get(desk.name)
        if book:
            left = self._left(bar, before)
            bid, ask = self.terms.convention.around(bar.open)
            desk.settle(venue.on_quote(desk.name, start_ns, bid, left, ask, left), start_ns)
        if book:
            self._walk(bar, before)
        if venue.orders:
            self._show(bar.close, self._left(bar, before), bar.ts_ns)
            desk.settle(venue.advance(bar.ts_ns), bar.ts_ns)
        desk.hide()
        desk.point(bar.ts_ns)

    def at_close(self, bar: Bar) -> None:
        """Work what the strategy asks for at the close of a bar."""
        desk = self.desk
        sides = self.terms.convention.at_close(bar.close)
        desk.look(bar.close, bar.ts_ns, *(sides or (None, None)))
        if sides is not None:
            volume = self.fill.available(bar.volume, self.instrument.lot)
            desk.show(sides[0], volume, sides[1], volume)
        desk.ask(self.runner.take(), arrive_ns=None if sides is None else bar.ts_ns)
        desk.hide()
        desk.point(bar.ts_ns)

    def result(self, times: Array, marks: Array) -> Result:
        """Return what the run leaves, marked at these times."""
        desk = self.desk
        curve = curve_of(desk.points, times, marks, self.instrument)
        return result_of(self.instrument, curve, desk.orders, desk.fills, desk.refusals)

    def _walk(self, bar: Bar, before: int) -> None:
        desk, venue = self.desk, self.desk.venue
        for start, end in legs(bar):
            book = venue.books[desk.name]
            for price in stations(book.values(), start, end):
                if not book:
                    return
                left = self._left(bar, before)
                self._show(price, left, bar.start_ns)
                desk.settle(venue.on_trade(desk.name, bar.start_ns, price, left), bar.start_ns)

    def _left(self, bar: Bar, before: int) -> int:
        share = self.fill.available(bar.volume, self.instrument.lot)
        return max(0, share - sum(fill.qty for fill in self.desk.fills[before:]))

    def _show(self, price: int, volume: int, ts_ns: int) -> None:
        bid, ask = self.terms.convention.around(price)
        self.desk.look(price, ts_ns, bid, ask)
        self.desk.show(bid, volume, ask, volume)
