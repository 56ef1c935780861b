import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.market.frames import NAN, OPEN, TABLE, Row, frame
from trading.amounts import round_to_scale
from trading.market.batches import ABSENT, MAX_ROWS, QUOTE, TRADE
from trading.market.rejects import Code
from trading.market.universe import Universe
from trading.market.validate import check_rows

UNIVERSE = Universe([TABLE["AAA.US"], TABLE["BBB.US"]], 1)
NOTHING = np.full(MAX_ROWS, ABSENT, np.int64)
VALUE = st.sampled_from([NAN, 0.0, -1.0, float("inf"), 1e30, 1e-9, 10.0, 10.01, 13.940000000000001, 0.5, 250.0])
ROWS = st.lists(
    st.builds(
        Row,
        ts=st.sampled_from([OPEN, -(2**63), 2**63 - 1]),
        kind=st.sampled_from([TRADE, QUOTE, 9]),
        symbol=st.sampled_from(["AAA", "BBB", "NOPE"]),
        price=VALUE,
        qty=VALUE,
        bid=VALUE,
        bid_qty=VALUE,
        ask=VALUE,
        ask_qty=VALUE,
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200)
@given(ROWS)
def test_rows_are_judged_alone(rows: list[Row]) -> None:
    together = check_rows(frame(rows, 0, OPEN), UNIVERSE, NOTHING)
    names = ("price", "qty", "bid", "bid_qty", "ask", "ask_qty")
    for at, row in enumerate(rows):
        alone = check_rows(frame([row], 0, OPEN), UNIVERSE, NOTHING)
        assert Code(int(together.codes[at])) == Code(int(alone.codes[0]))
        if not alone.codes[0]:
            amounts = {name: int(getattr(together, name)[at]) for name in names}
            assert amounts == {name: int(getattr(alone, name)[0]) for name in names}
            _check_amounts(row, amounts)


def _check_amounts(row: Row, amounts: dict[str, int]) -> None:
    if row.kind == TRADE:
        assert amounts["price"] == round_to_scale(row.price, 4) > 0
        assert amounts["qty"] == round_to_scale(row.qty, 0) > 0
        assert amounts["bid"] == amounts["ask"] == ABSENT
    else:
        assert amounts["price"] == amounts["qty"] == ABSENT
        assert max(amounts["bid"], amounts["ask"]) > 0
