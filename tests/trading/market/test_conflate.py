import numpy as np

from trading.instruments import Instrument
from trading.market.batches import ABSENT
from trading.market.conflate import ASK, LAST, PriceBoard

ITEMS = (Instrument(symbol="A", venue="V"), Instrument(symbol="B", venue="V", price_scale=0))


def put(board: PriceBoard, which: int, *rows: tuple[int, int, int]) -> None:
    inst, ts, value = (np.array([row[at] for row in rows], np.int64) for at in range(3))
    starts = np.flatnonzero(np.concatenate(([True], inst[1:] != inst[:-1])))
    board.update(which, inst, starts, ts, value)


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
