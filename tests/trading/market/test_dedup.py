import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.market.batches import ABSENT
from trading.market.dedup import DedupWindow

IDS = st.one_of(st.integers(0, 300), st.integers(-(2**63) + 1, 2**63 - 1), st.just(ABSENT))
ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(100, 102), IDS), max_size=60)


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=6))
def test_it_is_a_set_of_owner_session_and_id(batches: list[list[tuple[int, int, int]]]) -> None:
    window, seen = DedupWindow(), set[tuple[int, int, int]]()
    for rows in batches:
        rows.sort(key=lambda row: row[0] // 2)
        owner, session, ids = (np.array([row[at] for row in rows], np.int64) for at in range(3))
        duplicate, full = window.seen(owner, session, ids)
        wanted = []
        for row in rows:
            wanted.append(row in seen)
            if row[2] != ABSENT:
                seen.add(row)
        assert full is None
        assert (duplicate.tolist() if duplicate is not None else [False] * len(rows)) == wanted


def test_sessions_are_forgotten() -> None:
    window = DedupWindow()
    for date in (100, 101, 102):
        window.seen(np.zeros(1, np.int64), np.array([date]), np.array([7]))
    window.prune(101)
    assert sorted(window.sessions) == [101, 102]


def test_a_full_set_refuses_and_does_not_grow() -> None:
    window = DedupWindow(max_words=3)
    owner = np.zeros(4, np.int64)
    session = np.full(4, 100)
    duplicate, full = window.seen(owner, session, np.arange(4) * 64)
    assert duplicate is None
    assert full is not None
    assert full.all()
    assert window.sessions[100].words == 0
