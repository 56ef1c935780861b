"""A strategy behind two doors: messages go in, commands come out. Live flows and the backtest hold it by this."""

from collections.abc import Iterable

from trading.events import AnyEvent, OrderFilled
from trading.instruments import InstrumentTable
from trading.strategies.context import ClientCommand, Context, Filled, Start
from trading.strategies.protocol import Strategy
from trading.strategies.rows import Bar, Tick


class Runner:
    """One strategy in one account."""

    def __init__(self, strategy: Strategy, name: str, account: str, instruments: InstrumentTable) -> None:
        self.strategy = strategy
        self.context = Context(account, name, instruments)
        self.fills = 0

    def start(self, ts_ns: int) -> list[ClientCommand]:
        """Begin; return what it asks for."""
        self.context.message = Start(ts_ns)
        self.strategy.on_start(self.context)
        return self.take()

    def bar(self, bar: Bar) -> list[ClientCommand]:
        """Tell it of a bar; return what it asks for."""
        self.context.message = bar
        self.strategy.on_bar(self.context, bar)
        return self.take()

    def tick(self, tick: Tick) -> list[ClientCommand]:
        """Tell it of a tick; return what it asks for."""
        self.context.message = tick
        self.strategy.on_tick(self.context, tick)
        return self.take()

    def events(self, events: Iterable[AnyEvent]) -> list[ClientCommand]:
        """Tell it what became of its orders; return what it asks for."""
        for event in events:
            if self.context.apply(event) and isinstance(event, OrderFilled):
                self.fills += 1
                self.context.message = Filled(event)
                self.strategy.on_fill(self.context, event)
        return self.take()

    def take(self) -> list[ClientCommand]:
        """Return what was asked for since the last time."""
        commands = self.context.commands
        if commands:
            self.context.commands = []
        return commands
