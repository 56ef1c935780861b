from tests.trading.market.frames import MINUTE, OPEN, TABLE, Desk, frame, trade
from trading.instruments import Instrument, InstrumentTable
from trading.market import emit
from trading.market.normalize import Normalizer
from trading.market.policy import MarketPolicy
from trading.market.shards import shard_of
from trading.messages import Source


def test_each_shard_gets_its_instruments_once_in_raw_order() -> None:
    desk = Desk(shards=8)
    out = desk.send(*(trade(OPEN + n, 10, id=n, symbol="AAA" if n % 3 else "BBB") for n in range(9)))
    bars = desk.finish(OPEN + MINUTE).bars
    assert {shard_of(id_, 8) for id_ in ("AAA.US", "BBB.US")} == set(out.ticks) == set(bars)
    for shard, batch in out.ticks.items():
        names = {batch.instrument[0][code] for code in batch.instrument[1].tolist()}
        assert {shard_of(name, 8) for name in names} == {shard}
        assert batch.src_row.tolist() == sorted(batch.src_row.tolist())
    assert sorted(row for batch in out.ticks.values() for row in batch.src_row.tolist()) == list(range(9))
    assert sum(len(batch) for batch in bars.values()) == 10


def test_a_long_list_of_instruments_does_not_travel_with_each_message() -> None:
    many = [Instrument(symbol=f"S{n:03}", venue="US") for n in range(emit.SHARED_DICTIONARY + 1)]
    out = Normalizer(InstrumentTable(many), MarketPolicy(), 1).apply(
        frame([trade(OPEN, 10, symbol="S064"), trade(OPEN, 10, symbol="S001")], 0).encode(), Source(0, 0)
    )
    assert out.ticks[0].instrument[0] == ["S001.US", "S064.US"]
    assert out.ticks[0].instrument[1].tolist() == [1, 0]
    assert len(TABLE) <= emit.SHARED_DICTIONARY
