"""The words of a set as of one moment: columns (owner, page, bits) in order of (owner, page)."""

from collections.abc import Sequence

import numpy as np

from trading.market.batches import Array

# Ids below 2 ** 54 and 2 ** 15 owners fit into one number to be ordered by.
PAGE_BITS = 48
Columns = tuple[Array, Array, Array]


class Words:
    """The words of an earlier moment, and what was merged since. Who asks first puts them in order, in any thread."""

    def __init__(self, merged: Sequence[Columns], before: "Words | None" = None) -> None:
        self._columns: Columns | None = None
        self._parts: tuple[Sequence[Columns], Words | None] | None = (merged, before)

    def columns(self) -> Columns:
        """Return the words."""
        # Read before the columns, because they are there when it is gone: two threads may both do the work.
        parts, columns = self._parts, self._columns
        if columns is None:
            assert parts is not None
            merged, before = parts
            each = [*([before.columns()] if before is not None else []), *merged]
            owner, page, bits = (np.concatenate(column) for column in zip(*each, strict=True)) if each else _NONE
            self._columns = columns = in_order(owner, page, bits)
            self._parts = None
        return columns


def in_order(owner: Array, page: Array, bits: Array) -> Columns:
    """Return words in order of (owner, page), those of one key as one."""
    if len(page) and page.min() >= 0 and page.max() < 1 << PAGE_BITS and owner.max() < 1 << 63 - PAGE_BITS:
        # One key for both takes half the time, and a stable sort nearly none where most words are in order already.
        order = np.argsort(owner.astype(np.int64) << PAGE_BITS | page, kind="stable")
    else:
        order = np.lexsort((page, owner))
    owner, page, bits = owner[order], page[order], bits[order]
    first = np.ones(len(page), bool)
    np.not_equal(page[1:], page[:-1], out=first[1:])
    first[1:] |= owner[1:] != owner[:-1]
    if first.all():
        return owner, page, bits
    starts = np.flatnonzero(first)
    return owner[starts], page[starts], np.bitwise_or.reduceat(bits, starts)


_NONE: Columns = (np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.uint64))
