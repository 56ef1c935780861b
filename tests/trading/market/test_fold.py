import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trading.market.batches import ABSENT
from trading.market.fold import Trades, fold
from trading.market.intervals import MINUTE_NS

ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3 * 60), st.sampled_from([ABSENT, 1, 2, 3]), st.integers(1, 50)),
    min_size=1,
    max_size=40,
)


@given(ROWS)
def test_each_minute_is_folded_by_ts_and_id_with_ties_in_order_of_arrival(
    rows: list[tuple[int, int, int, int]],
) -> None:
    rows.sort(key=lambda row: row[0])
    inst, seconds, ids, price = (np.array([row[at] for row in rows], np.int64) for at in range(4))
    flags = np.array([1 << (row[3] % 5) for row in rows], np.uint16)
    part = fold(Trades(inst, inst.astype(np.int32), seconds * 10**9, ids, price, price * 2, flags))
    wanted = []
    for key in sorted({(row[0], row[1] // 60) for row in rows}):
        mine = sorted((row for row in rows if (row[0], row[1] // 60) == key), key=lambda row: (row[1], row[2]))
        prices = [row[3] for row in mine]
        bits = int(np.bitwise_or.reduce([1 << (p % 5) for p in prices]))
        summary = (prices[0], max(prices), min(prices), prices[-1], 2 * sum(prices), len(prices), bits)
        wanted.append((key[0], key[1] * MINUTE_NS, *summary))
    columns = (part.inst, part.start, part.open, part.high, part.low, part.close, part.volume, part.trades, part.flags)
    assert [tuple(int(column[row]) for column in columns) for row in range(len(part.inst))] == wanted
