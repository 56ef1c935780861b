"""The loops as plain Python against the compiled ones: the same code must mean the same."""

from typing import Any

import numpy as np
import pytest

from trading.market import kernels


@pytest.mark.parametrize("with_ids", [False, True])
def test_compiled_and_plain_scans_agree(with_ids: bool) -> None:
    chance = np.random.default_rng(3)
    count, minutes = 400, 4
    ts = chance.integers(0, minutes * kernels.MINUTE_NS, count)
    inst = chance.integers(0, 3, count)
    ids = chance.integers(0, 5, count) if with_ids else None
    price, qty = chance.integers(1, 99, count), chance.integers(1, 9, count)
    flags = chance.integers(0, 63, count).astype(np.uint16) if with_ids else None
    results: list[Any] = []
    for scan in (kernels.scan, kernels._scan):
        slot = np.full(3 * minutes, -1, np.int32)
        when = np.zeros((12, kernels.WHEN_WIDTH), np.int64)
        what = np.zeros((12, kernels.WHAT_WIDTH), np.int64)
        used = scan(ts, inst, ids, price, qty, flags, 0, minutes, slot, when, what)
        results.append((used, slot.tolist(), when.tolist(), what.tolist()))
    assert results[0] == results[1]
    assert results[0][0] == 12


def test_chunks_merge_in_order_of_instrument_and_minute() -> None:
    slots = np.array([[-1, 0, -1, 1], [0, 1, -1, -1]], np.int32)
    whens = np.zeros((2, 2, kernels.WHEN_WIDTH), np.int64)
    whats = np.zeros((2, 2, kernels.WHAT_WIDTH), np.int64)
    whens[0, :, kernels.FIRST_TS] = whens[0, :, kernels.LAST_TS] = [10, 30]
    whens[1, :, kernels.FIRST_TS] = whens[1, :, kernels.LAST_TS] = [0, 12]
    whens[:, :, kernels.TRADES] = 1
    whats[:, :, :] = np.array([[1, 2], [3, 4]])[:, :, None]
    inst, minute = np.zeros(4, np.int32), np.zeros(4, np.int64)
    when, what = np.zeros((4, kernels.WHEN_WIDTH), np.int64), np.zeros((4, kernels.WHAT_WIDTH), np.int64)
    count = kernels.gather(slots, whens, whats, 2, inst, minute, when, what)
    assert (count, inst[:3].tolist(), minute[:3].tolist()) == (3, [0, 0, 1], [0, 1, 1])
    assert what[:3].tolist() == [[3, 3, 3, 3, 3], [1, 4, 1, 4, 5], [2, 2, 2, 2, 2]]
    assert when[:3, kernels.TRADES].tolist() == [1, 2, 1]
