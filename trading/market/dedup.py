"""Which trade ids were seen: a set of (owner, id) for each session, in bounded memory and without a call per row.

Ids are kept 64 to a word, so ids that count up cost a few bits to a few bytes each and random ones 80 bytes. An owner
is an (instrument, kind) pair as one small number.
"""

import numpy as np

from trading.market.batches import ABSENT, Array

WORD_BITS = 6
FIRST_SLOTS = 8_192
# A table a quarter full finds nearly every word at the first or second place; each further place costs all columns.
SLOTS_PER_WORD = 4
# Words in one session of one venue, 80 bytes each. More ids are refused.
MAX_WORDS = 2_097_152
EMPTY = -1
# Ids below 2 ** 54 and 2 ** 15 owners fit into one number to be ordered by.
PAGE_BITS = 48


class IdSet:
    """An open-addressing hash table from (owner, id >> 6) to a word of 64 bits."""

    def __init__(self, slots: int = FIRST_SLOTS, max_words: int = MAX_WORDS) -> None:
        self.words = 0
        self._max_words = max_words
        self._allocate(slots)

    def _allocate(self, slots: int) -> None:
        self._owner = np.full(slots, EMPTY, np.int32)
        self._page = np.zeros(slots, np.int64)
        self._bits = np.zeros(slots, np.uint64)

    def merge(self, owner: Array, page: Array, bits: Array) -> Array | None:
        """Or `bits` into the words of distinct (owner, page) keys; return the words before, or None when full."""
        if self.words + len(owner) > self._max_words:
            return None
        if SLOTS_PER_WORD * (self.words + len(owner)) > len(self._owner):
            self._grow(len(owner))
        slots = self._slots(owner.astype(np.int32), page)
        before = self._bits[slots]
        self._bits[slots] = before | bits
        return before

    def dump(self) -> tuple[Array, Array, Array]:
        """Return the used words as (owner, page, bits), in order of (owner, page)."""
        return in_order(*self.copy())

    def copy(self) -> tuple[Array, Array, Array]:
        """Return the used words as (owner, page, bits), in any order: a small part of what `dump` takes."""
        used = np.flatnonzero(self._owner != EMPTY)
        return self._owner[used], self._page[used], self._bits[used]

    def load(self, owner: Array, page: Array, bits: Array) -> None:
        """Put the words of a `dump` into an empty set."""
        self._grow(len(owner))
        self._bits[self._slots(owner, page)] = bits

    def _grow(self, more: int) -> None:
        slots = len(self._owner)
        while SLOTS_PER_WORD * (self.words + more) > slots:
            slots *= 2
        owner, page, bits = self.copy()
        self._allocate(slots)
        self.words = 0
        if len(owner):
            self._bits[self._slots(owner, page)] = bits

    def _slots(self, owner: Array, page: Array) -> Array:
        mask = len(self._owner) - 1
        slots = where = _hash(owner, page) & mask
        rows: Array | None = None
        while True:
            found = self._owner[where]
            empty = np.flatnonzero(found == EMPTY)
            if len(empty):
                # Two keys may claim one slot: the last writer has it, the other one finds out below and goes on.
                self._owner[where[empty]] = owner[empty]
                self._page[where[empty]] = page[empty]
                found = self._owner[where]
            missed = (found != owner) | (self._page[where] != page)
            self.words += len(empty) - int(np.count_nonzero(missed[empty]))
            lost = np.flatnonzero(missed)
            if not len(lost):
                return slots
            rows = lost if rows is None else rows[lost]
            owner, page = owner[lost], page[lost]
            where = (where[lost] + 1) & mask
            slots[rows] = where


def in_order(owner: Array, page: Array, bits: Array) -> tuple[Array, Array, Array]:
    """Return words in order of (owner, page)."""
    if len(page) and page.min() >= 0 and page.max() < 1 << PAGE_BITS and owner.max() < 1 << 63 - PAGE_BITS:
        # One key for both takes half the time.
        order = np.argsort(owner.astype(np.int64) << PAGE_BITS | page)
    else:
        order = np.lexsort((page, owner))
    return owner[order], page[order], bits[order]


def _hash(owner: Array, page: Array) -> Array:
    mixed = page.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + owner.astype(np.uint64) * np.uint64(
        0xC2B2AE3D27D4EB4F
    )
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return (mixed >> np.uint64(20)).astype(np.int64)


class DedupWindow:
    """The ids of the sessions that are held. Rows without an id (`ABSENT`) are never duplicates."""

    def __init__(self, max_words: int = MAX_WORDS) -> None:
        self._max_words = max_words
        self.sessions: dict[int, IdSet] = {}

    def seen(self, owner: Array, session: Array, ids: Array) -> tuple[Array | None, Array | None]:
        """Record the ids; return masks of the rows that are duplicates and of those refused because a set is full.

        Rows are in order of arrival within an owner. A mask is None when no row is in it.
        """
        rows = np.flatnonzero(ids != ABSENT)
        if not len(rows):
            return None, None
        duplicate, full = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
        dates = session[rows]
        if dates.min() == dates.max():
            self._record(int(dates[0]), owner, ids, rows, duplicate, full)
        else:
            for date in np.unique(dates).tolist():
                self._record(date, owner, ids, rows[dates == date], duplicate, full)
        return (duplicate if duplicate.any() else None), (full if full.any() else None)

    def prune(self, oldest: int) -> None:
        """Forget the sessions before the date `oldest`."""
        for date in [date for date in self.sessions if date < oldest]:
            del self.sessions[date]

    def _record(self, date: int, owner: Array, ids: Array, rows: Array, duplicate: Array, full: Array) -> None:
        if len(rows) != len(ids):
            owner, ids = owner[rows], ids[rows]
        first = np.empty(len(rows), bool)
        first[0] = True
        np.not_equal(owner[1:], owner[:-1], out=first[1:])
        if (len(rows) > 1 and not (first[1:] | (ids[1:] > ids[:-1])).all()) or (owner[1:] < owner[:-1]).any():
            order = np.lexsort((ids, owner))
            owner, ids, rows = owner[order], ids[order], rows[order]
            again = (ids[1:] == ids[:-1]) & (owner[1:] == owner[:-1])
            if again.any():
                duplicate[rows[1:][again]] = True
                keep = np.concatenate(([True], ~again))
                owner, ids, rows = owner[keep], ids[keep], rows[keep]
            first = np.concatenate(([True], owner[1:] != owner[:-1]))
        page = ids >> WORD_BITS
        first[1:] |= page[1:] != page[:-1]
        bits = np.left_shift(np.uint64(1), (ids & 63).astype(np.uint64))
        starts = np.flatnonzero(first)
        held = self.sessions.get(date)
        if held is None:
            held = self.sessions[date] = IdSet(max_words=self._max_words)
        before = held.merge(owner[starts], page[starts], np.bitwise_or.reduceat(bits, starts))
        if before is None:
            full[rows] = True
        elif before.any():
            run = np.cumsum(first) - 1
            duplicate[rows[(before[run] & bits) != 0]] = True
