import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.market.batches import ABSENT
from trading.market.jumps import AGREEING_PRINTS, JumpGuard

PRICE = st.one_of(st.integers(90, 110), st.integers(9_000, 11_000), st.just(ABSENT))
ROWS = st.lists(st.tuples(st.integers(0, 2), PRICE, PRICE, PRICE), min_size=1, max_size=40)


def feed(guard: JumpGuard, rows: list[tuple[int, int, int, int]]) -> list[bool]:
    """Return which rows are accepted when they come as one batch, grouped by instrument."""
    inst, price, bid, ask = (np.array([row[at] for row in rows], np.int64) for at in range(4))
    order = np.argsort(inst, kind="stable")
    inst = inst[order]
    starts = np.flatnonzero(np.concatenate(([True], inst[1:] != inst[:-1])))
    refused = guard.check(inst, starts, price[order], bid[order], ask[order])
    accepted = np.ones(len(rows), bool)
    if refused is not None:
        accepted[order[refused]] = False
    return accepted.tolist()


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_a_batch_is_judged_as_its_rows_one_by_one(rows: list[tuple[int, int, int, int]]) -> None:
    # A row is a trade or a quote, never both and never nothing.
    clean = [
        (inst, price, ABSENT, ABSENT) if price != ABSENT else (inst, ABSENT, bid, ask)
        for inst, price, bid, ask in rows
        if price != ABSENT or bid != ABSENT or ask != ABSENT
    ]
    together, alone = JumpGuard(3, 20.0), JumpGuard(3, 20.0)
    if clean:
        assert feed(together, clean) == [feed(alone, [row])[0] for row in clean]
    assert np.array_equal(together.anchor, alone.anchor)
    assert np.array_equal(together.run, alone.run)


def test_prints_that_do_not_agree_never_become_the_anchor() -> None:
    guard = JumpGuard(1, 20.0)
    rows = [(0, 100, ABSENT, ABSENT)] + [(0, 10_000 * 2**n, ABSENT, ABSENT) for n in range(12)]
    assert feed(guard, rows) == [True] + [False] * 12


def test_quotes_alone_may_move_away_from_the_last_trade() -> None:
    guard = JumpGuard(1, 20.0)
    feed(guard, [(0, 100, ABSENT, ABSENT)])
    rows = [(0, ABSENT, 5_000, 5_010)] * (AGREEING_PRINTS + 3)
    assert feed(guard, rows) == [False] * AGREEING_PRINTS + [True] * 3
