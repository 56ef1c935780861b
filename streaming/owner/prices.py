"""Topic `prices` becomes the market that the gate sees. An unreadable price is counted and changes nothing."""

import asyncio
from collections.abc import Iterable

import structlog

from streaming.owner.clock import Clock
from streaming.transport.client import BrokerError, Record
from streaming.transport.follow import Follower
from trading.amounts import AmountError, parse_exact
from trading.codec import CodecError, decode
from trading.instruments import CALENDARS, InstrumentTable
from trading.market.sessions import calendar
from trading.messages import Price
from trading.risk.market import ALWAYS_OPEN, MarketView, Quote, quote
from trading.risk.var import RiskModel

TAKE_S = 0.25
RETRY_S = 1.0
MAX_DAYS_TO_CLOSE = 14
# Outside of the packaged calendar it is looked at again after an hour.
NO_CLOSE_NS = 3_600 * 10**9
_log = structlog.get_logger("prices")


class MarketBook:
    """The newest view. A price that is older than the one that is known changes nothing."""

    def __init__(self, instruments: InstrumentTable, model: RiskModel, clock: Clock) -> None:
        self.view = MarketView(instruments, model=model)
        self.prices = 0
        self.refused = 0
        self._clock = clock
        self._closes_due_ns = 0

    def take(self, records: Iterable[Record]) -> None:
        """Take price records, all at once; the clock hears their times."""
        changes: dict[str, Quote] = {}
        for record in records:
            if record.value is None:
                continue
            try:
                price = decode(record.value, Price)
                instrument = self.view.instruments.get(price.instrument)
                made = None if instrument is None else _quote(price, instrument.price_scale)
            except (CodecError, AmountError) as error:
                self.refused += 1
                _log.warning("price_refused", partition=record.partition, offset=record.offset, reason=str(error))
                continue
            self.prices += 1
            self._clock.advance(price.ts_ns)
            before = changes.get(price.instrument) or self.view.quotes.get(price.instrument)
            if made is not None and (before is None or before.ts_ns <= made.ts_ns):
                changes[price.instrument] = made
        if changes:
            self.view = self.view.with_quotes(changes)
        self.turn(self._clock.now_ns())

    def turn(self, now_ns: int) -> None:
        """Look up the next session closes when one has passed."""
        if now_ns < self._closes_due_ns:
            return
        closes = {name: close for name in CALENDARS if name != ALWAYS_OPEN and (close := next_close(name, now_ns))}
        self._closes_due_ns = min(closes.values(), default=now_ns + NO_CLOSE_NS)
        if closes != self.view.closes:
            self.view = self.view.with_closes(closes)


def next_close(name: str, now_ns: int) -> int | None:
    """Return the first close after an instant, or None outside of the packaged calendar."""
    sessions = calendar(name)
    today = sessions.local_date(now_ns)
    for date in range(today, today + MAX_DAYS_TO_CLOSE):
        hours = sessions.hours_ns(date)
        if hours is not None and hours[1] > now_ns:
            return hours[1]
    return None


def _quote(price: Price, scale: int) -> Quote | None:
    sides = (None if text is None else parse_exact(text, scale) for text in (price.bid, price.ask, price.last))
    return quote(price.ts_ns, *sides)


async def keep_reading(book: MarketBook, follower: Follower, clock: Clock) -> None:
    """Feed the book for ever; a broker that fails is asked again."""
    while True:
        try:
            records = await follower.take(TAKE_S)
        except BrokerError as error:
            _log.warning("prices_not_read", code=error.code, reason=str(error))
            await follower.stop()
            await asyncio.sleep(RETRY_S)
            continue
        if records:
            # What a compaction would leave: at a start there may be many of each instrument.
            book.take({(record.partition, record.key): record for record in records}.values())
        else:
            book.turn(clock.now_ns())
