"""Prices become the market: newest wins, refused ones change nothing, closes follow the calendar."""

import asyncio

import pytest

from streaming.owner.clock import EventClock
from streaming.owner.history import packaged_model
from streaming.owner.prices import MarketBook, keep_reading, next_close
from streaming.transport.client import BrokerError, Record
from tests.streaming.poll import until
from trading.codec import encode
from trading.instruments import CATALOGUE
from trading.messages import Price

BTC = "BTC-USD.SIM"
S = 10**9
# Monday 2024-07-01 15:00 UTC; New York closes at 20:00, and on the 3rd of July at 17:00.
MONDAY = 1_719_846_000 * S


def record(**fields: object) -> Record:
    price = Price(**({"instrument": BTC, "ts_ns": 5 * S} | fields))  # type: ignore[arg-type]  # fields of a test
    return Record("prices", 0, 0, price.instrument.encode(), encode(price))


@pytest.fixture
def book() -> MarketBook:
    return MarketBook(CATALOGUE, packaged_model(CATALOGUE), EventClock())


def test_the_newest_price_wins_and_the_clock_hears_it() -> None:
    clock = EventClock()
    book = MarketBook(CATALOGUE, packaged_model(CATALOGUE), clock)
    book.take([record(last="100"), record(ts_ns=7 * S, bid="99", ask="101"), record(ts_ns=6 * S, last="1")])
    assert book.view.quotes[BTC].mark == 10_000
    assert (clock.now_ns(), book.prices) == (7 * S, 3)
    before = book.view
    book.take([record(ts_ns=6 * S, last="1")])
    assert book.view is before or book.view.quotes == before.quotes


def test_what_cannot_be_read_is_counted_and_changes_nothing(book: MarketBook) -> None:
    book.take(
        [
            Record("prices", 0, 1, b"k", b"{"),
            record(last="1.2345678901234567890"),
            record(instrument="NOT.KNOWN", last="1"),
            Record("prices", 0, 2, b"gone", None),
        ]
    )
    assert (book.refused, dict(book.view.quotes)) == (2, {})


def test_the_next_close_is_looked_up_when_one_has_passed(book: MarketBook) -> None:
    book.turn(MONDAY)
    first = book.view.closes["XNYS"]
    assert first == MONDAY + 5 * 3600 * S
    book.turn(first - 1)
    assert book.view.closes["XNYS"] == first
    book.turn(first)
    assert book.view.closes["XNYS"] == first + 24 * 3600 * S
    wednesday = first + 24 * 3600 * S
    assert next_close("XNYS", wednesday) == wednesday + 21 * 3600 * S


async def test_reading_goes_on_after_the_broker_failed(book: MarketBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.owner.prices.RETRY_S", 0.0)

    class Follower:
        """Fails once, then has a price, then nothing."""

        failed = stopped = False

        def __init__(self) -> None:
            self.answers = [[record(last="100")]]

        async def take(self, timeout_s: float) -> list[Record]:
            await asyncio.sleep(0)
            if not self.failed:
                self.failed = True
                raise BrokerError("BROKER_UNREACHABLE", "away", retriable=True)
            return self.answers.pop() if self.answers else []

        async def behind(self) -> bool:
            return False

        async def stop(self) -> None:
            self.stopped = True

    follower = Follower()
    reading = asyncio.create_task(keep_reading(book, follower, EventClock()))
    await until(lambda: BTC in book.view.quotes)
    reading.cancel()
    assert follower.stopped


async def test_of_many_prices_of_an_instrument_only_the_newest_is_worked(book: MarketBook) -> None:
    class Follower:
        """Has what was not compacted yet, then nothing."""

        def __init__(self) -> None:
            self.answers = [[record(last=str(number), ts_ns=number * S) for number in range(1, 1_000)]]

        async def take(self, timeout_s: float) -> list[Record]:
            await asyncio.sleep(0)
            return self.answers.pop() if self.answers else []

        async def behind(self) -> bool:
            return False

        async def stop(self) -> None:
            """Need nothing."""

    reading = asyncio.create_task(keep_reading(book, Follower(), EventClock()))
    await until(lambda: BTC in book.view.quotes)
    reading.cancel()
    assert (book.view.quotes[BTC].mark, book.prices) == (99_900, 1)
