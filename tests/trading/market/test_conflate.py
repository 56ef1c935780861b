import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trading.instruments import Instrument
from trading.market.batches import ABSENT
from trading.market.conflate import ASK, LAST, PriceBoard

ITEMS = (Instrument(symbol="A", venue="V"), Instrument(symbol="B", venue="V", price_scale=0))


def put(board: PriceBoard, which: int, *rows: tuple[int, int, int]) -> None:
    inst, ts, value = (np.array([row[at] for row in rows], np.int64) for at in range(3))
    columns = [np.full(len(rows), ABSENT) for _ in range(3)]
    columns[which] = value
    board.update(inst, ts, *(columns if which != LAST else (value, None, None)))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), *[st.integers(1, 99) | st.just(ABSENT)] * 3), max_size=30)
)
def test_a_frame_is_taken_as_its_ticks_one_by_one(rows: list[tuple[int, ...]]) -> None:
    together, alone = PriceBoard(3), PriceBoard(3)
    for board, parts in ((together, [rows] if rows else []), (alone, [[row] for row in rows])):
        for part in parts:
            board.update(*(np.array(column, np.int64) for column in zip(*part, strict=True)))
    for name in ("value", "ts", "changed"):
        assert np.array_equal(getattr(together, name), getattr(alone, name))


def test_the_newest_by_time_wins_and_the_last_of_equals() -> None:
    board = PriceBoard(2)
    put(board, LAST, (0, 5, 100), (0, 9, 105), (0, 9, 106), (0, 7, 107), (1, 3, 8))
    assert [(p.instrument, p.last, p.ts_ns) for p in board.due(ITEMS, 100, 10)] == [("A.V", "1.06", 9), ("B.V", "8", 3)]


def test_it_is_sent_once_per_interval_and_only_when_changed() -> None:
    board = PriceBoard(2)
    put(board, LAST, (0, 5, 100))
    assert len(board.due(ITEMS, 100, 10)) == 1
    put(board, ASK, (0, 6, 101), (1, 6, ABSENT))
    assert board.due(ITEMS, 109, 10) == []
    assert [(p.last, p.ask, p.bid) for p in board.due(ITEMS, 110, 10)] == [("1", "1.01", None)]
    put(board, LAST, (0, 4, 90))
    assert [p.last for p in board.due(ITEMS, 500, 10)] == []
