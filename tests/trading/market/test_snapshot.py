import msgspec
import pytest

from tests.trading.market.frames import MINUTE, OPEN, TABLE, Desk, quote, trade
from trading.codec import CodecError
from trading.instruments import Instrument, InstrumentTable
from trading.market.normalize import Normalizer
from trading.market.policy import MarketPolicy
from trading.market.snapshot import HEAD_BYTES
from trading.messages import Source

POLICY = MarketPolicy()


def desk() -> Desk:
    made = Desk()
    made.send(trade(OPEN, 10, id=1), trade(OPEN + 1, 20, id=2, symbol="BBB"), quote(OPEN + 2, 9.9))
    made.seq += 1
    made.send(clock=OPEN + 2 * MINUTE)
    return made


def test_new_instruments_may_come_and_old_ones_go() -> None:
    old = desk()
    table = InstrumentTable([Instrument(symbol="AAB", venue="US", calendar="XNYS", price_scale=4), TABLE["BBB.US"]])
    moved = Normalizer.restore(old.normalizer.snapshot(), table, POLICY, 1)
    old.normalizer = moved
    old.bars.clear()
    old.send(trade(OPEN + 3, 21, id=3, symbol="BBB"), trade(OPEN + 1, 20, id=2, symbol="BBB"), clock=OPEN + 2 * MINUTE)
    assert moved.totals.duplicates == 1
    assert [(key, revision, bar[5]) for key, revision, bar in old.bars] == [(("BBB.US", 60, OPEN), 1, 2)]
    old.finish(OPEN + 2 * MINUTE)
    assert {key[0] for key, _, _ in old.bars} == {"BBB.US"}


def test_a_changed_scale_is_refused() -> None:
    table = InstrumentTable([Instrument(symbol="AAA", venue="US", calendar="XNYS", price_scale=2)])
    with pytest.raises(CodecError, match=r"AAA\.US has changed") as caught:
        Normalizer.restore(desk().normalizer.snapshot(), table, POLICY, 1)
    assert caught.value.code == "BAD_SNAPSHOT"


def test_bytes_that_are_no_snapshot_are_refused() -> None:
    good = desk().normalizer.snapshot()
    end = HEAD_BYTES + int.from_bytes(good[:HEAD_BYTES], "little")
    state, words = msgspec.msgpack.decode(good[HEAD_BYTES:end]), good[end:]
    lane = state["lanes"]["US"]

    def changed(**values: object) -> bytes:
        head = msgspec.msgpack.encode(state | values)
        return len(head).to_bytes(HEAD_BYTES, "little") + head + words

    assert changed() == good
    for payload, code in (
        (b"", "CORRUPT"),
        (good[:-1], "CORRUPT"),
        (good + b"x", "CORRUPT"),
        (good[: end - 1], "CORRUPT"),
        (changed(schema="normalizer/9"), "WRONG_SCHEMA"),
        (changed(lanes={"US": lane | {"carried_to": b"123"}}), "BAD_SNAPSHOT"),
        (changed(lanes={"US": lane | {"bars": lane["bars"] + 1}}), "CORRUPT"),
        (changed(lanes={"US": lane | {"sessions": [{"date": 0, "words": -1}]}}), "CORRUPT"),
    ):
        with pytest.raises(CodecError) as caught:
            Normalizer.restore(payload, TABLE, POLICY, 1)
        assert caught.value.code == code


def test_what_is_captured_does_not_change_with_the_messages_that_follow() -> None:
    one, other = desk(), desk()
    captured = one.normalizer.capture()
    one.send(trade(OPEN + 3, 30, id=9), quote(OPEN + 4, 9.8), clock=OPEN + 3 * MINUTE)
    assert b"".join(captured()) == other.normalizer.snapshot() != one.normalizer.snapshot()


def test_equal_states_give_equal_bytes_however_they_came_about() -> None:
    one, other = Desk(), Desk()
    rows = [trade(OPEN + n, 10, id=n * 977 % 500, symbol="AAA" if n % 2 else "BBB") for n in range(200)]
    one.send(*rows)
    one.send(clock=OPEN + MINUTE)
    other.send(*sorted(rows, key=lambda row: row.symbol), clock=OPEN + 199)
    other.send(clock=OPEN + MINUTE)
    assert one.normalizer.snapshot() == other.normalizer.snapshot()
    again = Normalizer.restore(one.normalizer.snapshot(), TABLE, POLICY, 1)
    again.apply(b"", Source(0, 9))
    one.give(b"")
    assert one.normalizer.snapshot() == again.snapshot()
