"""The owner and the venue of a run, in one process: the same decisions, the same gate, the same paper venue as live.

Each command becomes events by `decide`, the events change the state and go to the venue and to the strategy; what the
venue reports comes back as a command. With a journal, each command is sealed as a record, as the owner does it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from trading.backtest.series import BacktestError
from trading.backtest.terms import ACTOR, Terms, assumed_model, default_limits
from trading.commands import AnyCommand, Deposit, OpenAccount, SetLimits
from trading.events import CommandRefused, OrderAccepted, OrderFilled, OrderRefused
from trading.instruments import Instrument
from trading.market.sessions import DAY_NS, calendar
from trading.orders.evolve import evolve
from trading.orders.journal import append
from trading.orders.oms import decide
from trading.orders.state import State
from trading.risk.market import ALWAYS_OPEN, MarketView, Quote
from trading.routing.paper import PaperVenue, Shown
from trading.strategies.runner import Runner

# A strategy that answers each of its own fills with an order never comes to an end.
MAX_TURNS = 1_000
MAX_DAYS_TO_CLOSE = 14
Journal = Callable[[bytes], None]


class BacktestDesk:
    """One account, one strategy and one instrument on a fresh state."""

    def __init__(self, runner: Runner, instrument: Instrument, terms: Terms, journal: Journal | None = None) -> None:
        self.runner = runner
        self.instrument = instrument
        self.name = instrument.id
        self.state = State()
        self.venue = PaperVenue(runner.context.instruments, terms.models)
        self.orders: list[OrderAccepted] = []
        self.fills: list[OrderFilled] = []
        self.refusals: list[OrderRefused | CommandRefused] = []
        self._keep: dict[type, Callable[[Any], None]] = {
            OrderAccepted: self.orders.append,
            OrderFilled: self.fills.append,
            OrderRefused: self.refusals.append,
            CommandRefused: self.refusals.append,
        }
        # (time, cash, position) after each moment with fills: the account is constant in between.
        self.points: list[tuple[int, int, int]] = []
        self.terms = terms
        self._journal = journal
        self._model = assumed_model(self.name, terms.daily_volatility_ppm)
        self._closes: dict[str, int] = {}
        self._close_ns = 0
        self._versions = 0
        self._pointed = 0
        self._seen: tuple[int, int, int | None, int | None] | None = None
        self._view = MarketView(self.venue.instruments, model=self._model)

    def open_account(self, ts_ns: int) -> None:
        """Open the account, fund it and put its limits in force."""
        name, cash = self.terms.account, self.terms.cash
        limits = self.terms.limits or default_limits(cash)
        self._execute(
            [
                OpenAccount(account=name, ts_ns=ts_ns, actor=ACTOR),
                Deposit(account=name, ts_ns=ts_ns, actor=ACTOR, ref="start", amount=cash),
                SetLimits(account=name, ts_ns=ts_ns, actor=ACTOR, limits=limits),
            ]
        )
        if self.refusals:
            refusal = self.refusals[0]
            raise BacktestError(refusal.code, f"the account cannot be opened: {refusal.message}")
        self.points.append((ts_ns, self.state.accounts[name].exposure.cash, 0))

    def show(self, bid: int | None, bid_qty: int, ask: int | None, ask_qty: int) -> None:
        """Put both sides in the venue's window without letting anything trade yet."""
        self.venue.shown[self.name] = Shown(bid, bid_qty, ask, ask_qty)

    def hide(self) -> None:
        """Take the window away: nothing trades until the market is seen again."""
        self.venue.shown.pop(self.name, None)

    def ask(self, commands: Sequence[AnyCommand], *, arrive_ns: int | None) -> None:
        """Decide on what the strategy asks for; with a time, the requests reach the venue and are answered."""
        turns = 0
        while commands:
            turns += 1
            if turns > MAX_TURNS:
                raise BacktestError("STRATEGY_LOOP", f"more than {MAX_TURNS} answers to one message")
            self._refresh()
            answers = self._execute(commands)
            if arrive_ns is not None:
                answers += self._execute(self.venue.advance(arrive_ns))
            commands = answers

    def settle(self, reports: Iterable[AnyCommand], ts_ns: int) -> None:
        """Decide on what the venue reports, and on what the strategy answers."""
        self.ask(self._execute(reports), arrive_ns=ts_ns)

    def point(self, ts_ns: int) -> None:
        """Note cash and position if there were fills since the last point."""
        if len(self.fills) == self._pointed:
            return
        self._pointed = len(self.fills)
        exposure = self.state.accounts[self.terms.account].exposure
        self.points.append((ts_ns, exposure.cash, exposure.holdings[self.name].qty))

    def _execute(self, commands: Iterable[AnyCommand]) -> list[AnyCommand]:
        """Work commands one by one; return what the strategy asks for in answer."""
        state, view, journal, tell, keep = self.state, self._view, self._journal, self.venue.apply, self._keep
        answers: list[AnyCommand] = []
        for command in commands:
            events = decide(state, command, view)
            if journal is not None:
                journal(append(state, command.account, "backtest", command.ts_ns, events))
            else:
                for event in events:
                    evolve(state, event)
            for event in events:
                tell(event)
                kept = keep.get(type(event))
                if kept is not None:
                    kept(event)
            answers += self.runner.events(events)
        return answers

    def look(self, mark: int, ts_ns: int, bid: int | None, ask: int | None) -> None:
        """Let the gate see this market from now on."""
        self._seen = (mark, ts_ns, bid, ask)

    def _refresh(self) -> None:
        """Make the view of what was seen last: only what the strategy asks for is checked against it."""
        if self._seen is None:
            return
        mark, ts_ns, bid, ask = self._seen
        self._seen = None
        if self.instrument.calendar != ALWAYS_OPEN and ts_ns >= self._close_ns:
            self._close_ns = next_close_ns(self.instrument.calendar, ts_ns)
            self._closes = {self.instrument.calendar: self._close_ns}
        self._versions += 1
        quotes = {self.name: Quote(mark, ts_ns, bid, ask, mark)}
        self._view = MarketView(self.venue.instruments, quotes, self._model, self._closes, self._versions)


def next_close_ns(calendar_name: str, ts_ns: int) -> int:
    """Return the end of the first session that ends after an instant; a day ahead if the calendar knows none."""
    sessions = calendar(calendar_name)
    today = sessions.local_date(ts_ns)
    for date in range(today, today + MAX_DAYS_TO_CLOSE):
        hours = sessions.hours_ns(date)
        if hours is not None and hours[1] > ts_ns:
            return hours[1]
    return ts_ns + DAY_NS
