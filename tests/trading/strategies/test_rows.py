import msgspec

from tests.streaming import market_rows
from trading.market.batches import BarBatch, TickBatch
from trading.strategies.rows import Bar, Tick, bars_in, ticks_in


def test_bars_of_one_interval_without_those_that_had_no_trade() -> None:
    batch = BarBatch.decode(market_rows.bars(1).encode())
    (bar,) = bars_in(batch, 60)
    assert (bar.instrument, bar.start_ns, bar.ts_ns) == (
        "BTC-USD.SIM",
        market_rows.START_NS,
        market_rows.START_NS + 60 * 10**9,
    )
    assert (bar.open, bar.close, bar.volume) == (6_123_456, 6_123_456, 25_000_000)
    assert list(bars_in(batch, 86_400)) == []
    batch.revision = batch.revision + 1
    assert list(bars_in(batch, 60)) == []


def test_ticks_are_trades_and_quotes_in_order() -> None:
    trade, quote, again = ticks_in(TickBatch.decode(market_rows.ticks(3).encode()))
    assert (trade.price, trade.qty, trade.trade_id, trade.bid, trade.ask) == (6_123_456, 150_000_000, 3_000, None, None)
    assert (quote.price, quote.bid, quote.bid_qty, quote.ask, quote.ask_qty) == (None, 51_234, 1, 51_236, 250_000_000)
    assert [tick.instrument for tick in (trade, quote, again)] == ["BTC-USD.SIM", "XRP-USD.SIM", "BTC-USD.SIM"]


def test_a_key_names_a_message_by_its_content() -> None:
    bar = Bar("X.SIM", 0, 60, 1, 2, 1, 2, 5)
    assert bar.key == msgspec.structs.replace(bar, volume=6).key != msgspec.structs.replace(bar, start_ns=1).key
    trade = Tick("X.SIM", 5, 100, 1, 7)
    assert trade.key != msgspec.structs.replace(trade, trade_id=8).key
    quote = Tick("X.SIM", 5, bid=1, bid_qty=1)
    assert quote.key != msgspec.structs.replace(quote, bid_qty=2).key
