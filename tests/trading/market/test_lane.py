from tests.trading.market.frames import DAY, MINUTE, NS, OPEN, TABLE, frame, trade
from trading.instruments import Instrument
from trading.market.flags import GAP
from trading.market.lane import Lane
from trading.market.policy import MarketPolicy
from trading.market.universe import Universe


def lane(*extra: Instrument) -> Lane:
    return Lane(Universe([TABLE["AAA.US"], TABLE["BBB.US"], *extra], 1), MarketPolicy())


def test_rows_out_are_in_raw_order_whatever_their_instruments() -> None:
    one = lane()
    made = frame([trade(OPEN + n, 10, id=n, symbol="BBB" if n % 2 else "AAA") for n in range(6)], 0)
    one.clock.admit(made)
    assert one.apply(made, False).rows.tolist() == list(range(6))


def test_a_gap_waits_for_the_next_accepted_tick() -> None:
    one = lane()
    for seq, rows in enumerate([[], [trade(OPEN, -1)], [trade(OPEN, 10)], [trade(OPEN, 10)]]):
        made = frame(rows, seq, OPEN)
        one.clock.admit(made)
        judged = one.apply(made, seq == 0)
        flags = None if judged.flags is None else judged.flags.tolist()
        assert flags == (None if seq < 2 else [GAP] if seq == 2 else [0])


def test_each_instrument_is_judged_in_its_own_calendar() -> None:
    one = lane(Instrument(symbol="CRYPTO", venue="US", calendar="24/7"))
    evening = DAY - 3 * 3600 * NS
    made = frame([trade(evening, 10, id=1), trade(evening, 10, id=1, symbol="CRYPTO")], 0, DAY + 2 * 3600 * NS)
    one.clock.admit(made)
    judged = one.apply(made, False)
    assert judged.session is not None
    assert judged.session.tolist() == [DAY // (86_400 * NS) - 1] * 2
    monday = frame([trade(evening, 10, id=2), trade(evening, 10, id=2, symbol="CRYPTO")], 1, OPEN + 86_400 * NS)
    one.clock.admit(monday)
    judged = one.apply(monday, False)
    # On Tuesday the previous session of both is Monday, so that Sunday evening is too old.
    assert judged.codes.tolist() == [10, 10]


def test_a_leap_of_the_clock_closes_bars_before_it_forgets_them() -> None:
    one = lane()
    for seq, clock in enumerate((OPEN + MINUTE, OPEN + 30 * 86_400 * NS)):
        made = frame([trade(OPEN, 10)] if not seq else [], seq, clock)
        one.clock.admit(made)
        judged = one.apply(made, False)
    assert len(judged.bars) == 5
    assert len(one.book.dump()[0]) == 0
