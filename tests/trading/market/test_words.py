from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from trading.market.words import Columns, Words, in_order


def one(owner: int, page: int, bits: int) -> Columns:
    return np.array([owner], np.int32), np.array([page], np.int64), np.array([bits], np.uint64)


def test_nothing_merged_gives_no_words() -> None:
    assert [len(column) for column in Words([]).columns()] == [0, 0, 0]


def test_later_words_leave_those_before_alone() -> None:
    before = Words([one(1, 5, 1), one(0, 7, 2)])
    after = Words([one(1, 5, 4), one(0, 2, 8)], before)
    assert [column.tolist() for column in after.columns()] == [[0, 0, 1], [2, 7, 5], [8, 2, 5]]
    assert [column.tolist() for column in before.columns()] == [[0, 1], [7, 5], [2, 1]]


def test_threads_that_read_at_once_find_the_same() -> None:
    chance = np.random.default_rng(1)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            words = Words([(np.zeros(999, np.int32), chance.integers(0, 500, 999), np.ones(999, np.uint64))])
            found = list(pool.map(lambda held: held.columns()[1].tolist(), [words] * 4))
            assert all(each == sorted(set(each)) == found[0] for each in found)


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
