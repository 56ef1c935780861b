import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.market.batches import ABSENT
from trading.market.dedup import DedupWindow, IdSet, in_order

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


@pytest.mark.parametrize("highest", [1, 2**47, 2**48 - 1, 2**48, 2**57])
@pytest.mark.parametrize("owners", [1, 2**15 - 1, 2**15, 2**31 - 1])
def test_words_are_in_order_of_owner_and_page(highest: int, owners: int) -> None:
    chance = np.random.default_rng(1)
    page = chance.integers(-1 if highest == 1 else 0, highest, 500, endpoint=True)
    owner = chance.integers(0, owners, 500, endpoint=True).astype(np.int32)
    keys = sorted(set(zip(owner.tolist(), page.tolist(), strict=True)), key=lambda key: hash(key) % 1_009)
    columns = np.array([key[0] for key in keys], np.int32), np.array([key[1] for key in keys], np.int64)
    found = in_order(*columns, np.arange(len(keys)).astype(np.uint64))
    assert list(zip(found[0].tolist(), found[1].tolist(), strict=True)) == sorted(keys)
    assert [keys[n] for n in found[2].tolist()] == sorted(keys)


def test_a_dump_loads_and_does_not_depend_on_the_order_of_arrival() -> None:
    chance = np.random.default_rng(1)
    keys = np.unique(chance.integers(0, 2**40, 20_000))
    one, other = IdSet(), IdSet(slots=64)
    bits = np.ones(1, np.uint64)
    for key in np.array_split(keys, 7):
        one.merge(key % 5, key, np.broadcast_to(bits, len(key)))
    for key in np.array_split(keys[::-1], 11):
        other.merge(key % 5, key, np.broadcast_to(bits, len(key)))
    assert one.words == other.words == len(keys)
    loaded = IdSet()
    loaded.load(*one.dump())
    for left, right, third in zip(one.dump(), other.dump(), loaded.dump(), strict=True):
        assert np.array_equal(left, right)
        assert np.array_equal(left, third)
