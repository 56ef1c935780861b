"""A real desk on the embedded log, without Faust: the test drives the lanes itself."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from streaming import topics
from streaming.flow import FlowContext
from streaming.flows.orders import CommandLane
from streaming.owner.clock import EventClock
from streaming.owner.house import House
from streaming.settings import FeedSettings, OrderSettings, Settings
from streaming.transport.client import BrokerClient, Record
from streaming.transport.connect import connect
from tests.streaming.poll import until
from tests.trading.orders.builders import T0, TABLE
from trading.amounts import to_text
from trading.codec import encode
from trading.commands import AnyCommand, encode_command
from trading.messages import Price
from trading.schemas import ORDERS_COMMANDS, PRICES


def settings_of(home: Path, broker: str = "log://", **orders: object) -> Settings:
    """Return settings with the instruments of the core's tests and a clock that follows the prices."""
    return Settings(
        home=home,
        broker=broker,
        feed=FeedSettings(rate=0),
        orders=OrderSettings.model_validate({"snapshot_s": 3_600.0} | orders),
        instruments=tuple(msgspec.to_builtins(instrument) for instrument in TABLE),
    )


class Place:
    """One process's worth of desk: client, house and a lane for each partition."""

    def __init__(self, settings: Settings, client: BrokerClient | None = None) -> None:
        self.settings = settings
        self.client = client or connect(settings.broker_url, fsync=settings.fsync)
        self.context = FlowContext(settings, settings.home, self.client)
        self.clock = EventClock()
        self.clock.advance(T0)
        self.house = House(clock=self.clock)
        self.lanes: list[CommandLane] = []

    async def __aenter__(self) -> "Place":
        await self.client.start()
        await topics.create(self.client, self.settings)
        await self.house.start(self.context)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.house.stop()
        await self.client.stop()

    async def own(self, numbers: Sequence[int] | None = None) -> None:
        """Take partitions over, all of them by default."""
        chosen = range(self.settings.orders.partitions) if numbers is None else numbers
        self.lanes = [CommandLane(self.house, self.context, number) for number in chosen]
        for lane in self.lanes:
            await lane.open()

    async def close(self) -> None:
        """Stop cleanly."""
        for lane in self.lanes:
            await lane.close()

    async def price(self, ts_ns: int = T0, symbol: str = "XYZ", mark: int = 100) -> None:
        """Publish a price and wait until the desk knows it."""
        instrument = next(i for i in TABLE if i.symbol == symbol)
        bid, ask = (to_text(mark * 10**instrument.price_scale + d, instrument.price_scale) for d in (-1, 1))
        price = Price(instrument=instrument.id, ts_ns=ts_ns, bid=bid, ask=ask, last=str(mark))
        await self.client.append(PRICES.name, 0, [(instrument.id.encode(), encode(price))])
        await until(lambda: (q := self.house.market.quotes.get(instrument.id)) is not None and q.ts_ns >= ts_ns)

    async def send(self, *commands: AnyCommand) -> list[Record]:
        """Append commands of one account to the input topic; return them as records."""
        number = self.house.partition_of(commands[0].account)
        pairs = [(command.account.encode(), encode_command(command)) for command in commands]
        first = await self.client.append(ORDERS_COMMANDS.name, number, pairs)
        return [
            Record(ORDERS_COMMANDS.name, number, first + place, key, value) for place, (key, value) in enumerate(pairs)
        ]
