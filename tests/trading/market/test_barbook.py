import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.market.frames import DAY, MINUTE, NS, OPEN, TABLE, Bar, BarKey, Desk, Row, listed, trade
from trading.market.flags import LATE, NO_TRADE, STALE
from trading.market.normalize import Normalizer
from trading.market.policy import MarketPolicy
from trading.messages import Source

LATENESS = 2 * NS
MIDNIGHT = DAY + 5 * 3600 * NS
NAMES = {60: "1m", 300: "5m", 900: "15m", 3_600: "1h", 86_400: "1d"}


def bars_of_interval(desk: Desk, seconds: int) -> list[tuple[int, int, Bar]]:
    """Return (start, revision, bar) of one interval in order of sending."""
    return [(key[2], revision, bar) for key, revision, bar in desk.bars if key[1] == seconds]


def test_a_minute_closes_when_the_watermark_passes_its_end() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10, 1, id=1), trade(OPEN + 5 * NS, 12, 2, id=2), trade(OPEN + 9 * NS, 11, 3, id=3))
    desk.send(clock=OPEN + MINUTE + LATENESS - 1)
    assert desk.bars == []
    desk.send(clock=OPEN + MINUTE + LATENESS)
    assert desk.bars == [(("AAA.US", 60, OPEN), 0, (100_000, 120_000, 100_000, 110_000, 6, 3, 0))]


def test_higher_bars_close_at_their_own_end_and_the_day_at_local_midnight() -> None:
    desk = Desk()
    for minute in range(6):
        desk.send(trade(OPEN + minute * MINUTE, 10 + minute, id=minute))
    five = [(OPEN, 0, (100_000, 140_000, 100_000, 140_000, 5, 5, 0))]
    desk.send(clock=OPEN + 6 * MINUTE)
    assert bars_of_interval(desk, 300) == five
    assert bars_of_interval(desk, 86_400) == []
    desk.send(clock=MIDNIGHT + 86_400 * NS + LATENESS)
    assert bars_of_interval(desk, 86_400) == [(MIDNIGHT, 0, (100_000, 150_000, 100_000, 150_000, 6, 6, 0))]
    assert bars_of_interval(desk, 3_600) == [(OPEN - 30 * MINUTE, 0, (100_000, 150_000, 100_000, 150_000, 6, 6, 0))]


def test_late_ticks_of_one_batch_make_one_revision_of_each_bar_that_was_out() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10, id=1))
    desk.send(clock=OPEN + 6 * MINUTE)
    before = len(desk.bars)
    desk.send(trade(OPEN + 1, 9, id=2), trade(OPEN - 1, 8, id=0), trade(OPEN + 2, 9.5, id=3), clock=OPEN + 6 * MINUTE)
    assert [(key[1:], revision) for key, revision, _ in desk.bars[before:]] == [
        ((60, OPEN - MINUTE), 0),
        ((60, OPEN), 1),
        ((300, OPEN - 5 * MINUTE), 0),
        ((300, OPEN), 1),
        ((900, OPEN - 15 * MINUTE), 0),
    ]
    assert desk.latest["AAA.US", 60, OPEN] == (100_000, 100_000, 90_000, 95_000, 3, 3, LATE | STALE)
    totals = desk.normalizer.totals
    assert (totals.late, totals.revisions) == (3, 2)


def test_eof_closes_everything_once_and_later_ticks_revise() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10, id=1))
    desk.finish(OPEN + 1)
    assert sorted(key[1] for key, _, _ in desk.bars) == sorted(NAMES)
    desk.finish(OPEN + 2)
    assert len(desk.bars) == 5
    desk.send(trade(OPEN + 3, 11, id=2))
    desk.finish(OPEN + 4)
    assert [revision for _, revision, _ in desk.bars[5:]] == [1] * 5
    assert desk.latest["AAA.US", 86_400, MIDNIGHT][5] == 2


def test_order_inside_a_bar_is_by_ts_and_trade_id() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 12, id=3), trade(OPEN, 10, id=1), clock=OPEN + NS)
    desk.send(trade(OPEN, 11, id=2), trade(OPEN, 13, id=4), clock=OPEN + NS)
    desk.finish(OPEN + NS)
    assert desk.latest["AAA.US", 60, OPEN][:4] == (100_000, 130_000, 100_000, 130_000)


def test_bars_of_one_message_are_sorted() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10, symbol="BBB"), trade(OPEN + MINUTE, 10), trade(OPEN, 10), clock=OPEN + MINUTE)
    desk.finish(OPEN + MINUTE)
    assert [key for key, _, _ in desk.bars] == sorted(key for key, _, _ in desk.bars)


def test_old_sessions_are_forgotten() -> None:
    desk = Desk(venue="SIM")
    for day in range(5):
        desk.send(trade(DAY + day * 86_400 * NS, 10, id=1, symbol="COIN"))
    book = desk.normalizer._lanes["SIM"].book
    assert sorted(set(book.dump()[0][:, 4].tolist())) == [DAY // (86_400 * NS) + day for day in (3, 4)]
    assert len(desk.normalizer._lanes["SIM"].dedup.sessions) == 2


def test_carry_fills_the_minutes_of_the_session_and_late_trades_repair_them() -> None:
    desk = Desk(MarketPolicy(no_trade="carry"))
    desk.send(trade(OPEN - 2 * MINUTE, 10, id=1))
    desk.send(trade(OPEN + 3 * MINUTE, 11, id=2))
    desk.send(clock=OPEN + 5 * MINUTE + LATENESS)
    ones = bars_of_interval(desk, 60)
    assert [(start - OPEN) // MINUTE for start, _, _ in ones] == [-2, 0, 1, 2, 3, 4]
    assert ones[1][2] == (100_000, 100_000, 100_000, 100_000, 0, 0, NO_TRADE)
    assert ones[5][2] == (110_000, 110_000, 110_000, 110_000, 0, 0, NO_TRADE)
    assert desk.latest["AAA.US", 300, OPEN] == (110_000, 110_000, 110_000, 110_000, 1, 1, 0)
    before = len(desk.bars)
    desk.send(trade(OPEN + MINUTE, 12, id=3), clock=OPEN + 5 * MINUTE + LATENESS)
    assert [(key[1], (key[2] - OPEN) // MINUTE, revision, bar[3]) for key, revision, bar in desk.bars[before:]] == [
        (60, 1, 1, 120_000),
        (60, 2, 1, 120_000),
        (300, 0, 1, 110_000),
    ]


def test_no_bars_are_carried_outside_the_session() -> None:
    desk = Desk(MarketPolicy(no_trade="carry"))
    close = OPEN + 390 * MINUTE
    desk.send(trade(close - MINUTE, 10, id=1))
    desk.send(clock=close + 120 * MINUTE)
    assert [start for start, _, _ in bars_of_interval(desk, 60)] == [close - MINUTE]


def ticks(seed: int, count: int = 300) -> list[Row]:
    """Return trades of three hours in order of time, prices in a random walk."""
    chance = random.Random(seed)
    at, price, rows = OPEN, 10.0, []
    for number in range(count):
        at += chance.randrange(0, 3 * 3600 * NS // count)
        price = round(max(5.0, price + chance.gauss(0, 0.05)), 2)
        rows.append(trade(at, price, chance.randrange(1, 9), id=number, symbol=chance.choice(("AAA", "BBB"))))
    return rows


def run(rows: list[Row], cut: int, policy: MarketPolicy | None = None) -> dict[BarKey, Bar]:
    """Return the newest revision of each bar when the rows come in frames of `cut`."""
    desk = Desk(policy or MarketPolicy())
    newest = 0
    for at in range(0, len(rows), cut):
        part = rows[at : at + cut]
        newest = max(newest, *(row.ts for row in part))
        desk.send(*part, clock=newest)
    desk.finish(newest)
    assert not desk.rejects
    return {key: bar[:6] for key, bar in desk.latest.items()}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.integers(1, 400), st.sampled_from(["skip", "carry"]))
def test_the_cut_into_frames_changes_no_final_bar(seed: int, cut: int, no_trade: str) -> None:
    rows = ticks(seed)
    policy = MarketPolicy(no_trade="carry" if no_trade == "carry" else "skip")
    assert run(rows, cut, policy) == run(rows, 1_000, policy)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.integers(1, 50), st.sampled_from(["skip", "carry"]))
def test_the_order_of_arrival_changes_no_final_bar(seed: int, cut: int, no_trade: str) -> None:
    rows = ticks(seed)
    policy = MarketPolicy(no_trade="carry" if no_trade == "carry" else "skip")
    shuffled = sorted(rows, key=lambda row: row.ts + random.Random(row.id).randrange(0, 1_800 * NS))
    in_order, out_of_order = run(rows, 1_000, policy), run(shuffled, cut, policy)
    assert {key: bar for key, bar in out_of_order.items() if bar[5]} == {k: b for k, b in in_order.items() if b[5]}
    if no_trade == "skip":
        assert out_of_order == in_order


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999))
def test_bars_add_up_from_their_minutes(seed: int) -> None:
    bars = run(ticks(seed), 100)
    for (name, seconds, start), (open_, high, low, close, volume, trades) in bars.items():
        end = start + seconds * NS
        parts = [bars[key] for key in sorted(bars) if key[:2] == (name, 60) and start <= key[2] < end]
        assert (open_, close) == (parts[0][0], parts[-1][3])
        assert (high, low) == (max(part[1] for part in parts), min(part[2] for part in parts))
        assert (volume, trades) == (sum(part[4] for part in parts), sum(part[5] for part in parts))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999), st.integers(1, 9), st.sampled_from(["skip", "carry"]))
def test_a_restored_normaliser_goes_on_alike(seed: int, at: int, no_trade: str) -> None:
    policy = MarketPolicy(no_trade="carry" if no_trade == "carry" else "skip")
    rows = sorted(ticks(seed), key=lambda row: row.ts + random.Random(row.id).randrange(0, 600 * NS))
    desk = Desk(policy, shards=2)
    for cut in range(at):
        desk.send(*rows[cut * 30 : cut * 30 + 30])
    payload = desk.normalizer.snapshot()
    again = Normalizer.restore(payload, TABLE, policy, 2)
    assert again.snapshot() == payload
    other = Desk(policy, shards=2, seq=desk.seq)
    other.normalizer = again
    for cut in range(at, 10):
        part = rows[cut * 30 : cut * 30 + 30]
        left, right = desk.send(*part), other.send(*part)
        assert listed(left) == listed(right)
        assert left.prices == right.prices
    assert desk.normalizer.snapshot() == again.snapshot()
    assert desk.normalizer.totals == again.totals
    assert Source(0, 1) == Source.parse("0:1")
