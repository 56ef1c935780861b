"""A set of numbered bits, 64 to a word: a hash table from (owner, page) to a word that grows without a pause.

When a table is full, a larger one takes its place at once, and each call brings some words of the old one over. Words
only gain bits, so a word that is in both tables is read as both together, and nothing is ever taken out of the old one.
"""

import numpy as np

from trading.market.batches import Array
from trading.market.words import Columns, Words

FIRST_SLOTS = 8_192
# A table a quarter full finds nearly every word at the first or second place; each further place costs all columns.
SLOTS_PER_WORD = 4
# Words in one session of one venue, 80 bytes each. More ids are refused.
MAX_WORDS = 2_097_152
# Slots of the old table that each call looks at, and for each word of the call: enough to be through before the next.
MOVED_SLOTS = 1_024
MOVED_PER_WORD = 2 * SLOTS_PER_WORD
EMPTY = 0


class Table:
    """Open addressing. An owner is stored plus one: memory that was never used reads as zero and costs nothing."""

    def __init__(self, slots: int) -> None:
        self._owner = np.zeros(slots, np.int32)
        self._page = np.zeros(slots, np.int64)
        self.bits = np.zeros(slots, np.uint64)

    def __len__(self) -> int:
        return len(self._owner)

    def claim(self, owner: Array, page: Array) -> Array:
        """Return the slots of distinct keys, for keys that are not there new ones."""
        return self._slots(owner + _ONE, page, claim=True)

    def find(self, owner: Array, page: Array) -> Array:
        """Return the words of distinct keys, 0 for a key that is not there."""
        slots = self._slots(owner + _ONE, page, claim=False)
        return np.where(slots < 0, _NOTHING, self.bits[slots])

    def words(self, first: int = 0, stop: int | None = None) -> Columns:
        """Return the words in a range of slots as (owner, page, bits)."""
        owner = self._owner[first:stop]
        # Numpy finds the places of a mask in half the time that it takes for those of numbers.
        used = (owner != EMPTY).nonzero()[0]
        return owner[used] - _ONE, self._page[first:stop][used], self.bits[first:stop][used]

    def _slots(self, owner: Array, page: Array, *, claim: bool) -> Array:
        mask = len(self._owner) - 1
        slots = where = _hash(owner, page) & mask
        rows: Array | None = None
        while True:
            found = self._owner[where]
            empty = (found == EMPTY).nonzero()[0]
            if len(empty) and claim:
                # Two keys may claim one slot: the last writer has it, the other one finds out below and goes on.
                self._owner[where[empty]] = owner[empty]
                self._page[where[empty]] = page[empty]
                found = self._owner[where]
            missed = (found != owner) | (self._page[where] != page)
            if len(empty) and not claim:
                slots[empty if rows is None else rows[empty]] = -1
                missed[empty] = False
            lost = missed.nonzero()[0]
            if not len(lost):
                return slots
            rows = lost if rows is None else rows[lost]
            owner, page = owner[lost], page[lost]
            where = (where[lost] + 1) & mask
            slots[rows] = where


class IdSet:
    """The words of one session. A word is never 0."""

    def __init__(self, slots: int = FIRST_SLOTS, max_words: int = MAX_WORDS) -> None:
        self.words = 0
        self._max_words = max_words
        self._table = Table(slots)
        self._old: Table | None = None
        self._moved = 0
        self._captured: Words | None = None
        self._since: list[Columns] = []

    def merge(self, owner: Array, page: Array, bits: Array) -> Array | None:
        """Or `bits` into the words of distinct (owner, page) keys; return the words before, or None when full."""
        if self.words + len(owner) > self._max_words:
            return None
        self._move(max(MOVED_SLOTS, MOVED_PER_WORD * len(owner)))
        if SLOTS_PER_WORD * (self.words + len(owner)) > len(self._table):
            self._grow(len(owner))
        owner = owner.astype(np.int32)
        slots = self._table.claim(owner, page)
        before = self._table.bits[slots]
        if self._old is not None:
            before = before | self._old.find(owner, page)
        self._table.bits[slots] = before | bits
        self.words += len(before) - int(np.count_nonzero(before))
        if self._captured is not None:
            self._since.append((owner, page, bits))
        return before

    def capture(self) -> Words:
        """Return the words as of now. Only the first time it copies them; later it takes what was merged since."""
        if self._captured is None:
            old = [] if self._old is None else [self._old.words(self._moved)]
            self._captured = Words([self._table.words(), *old])
        elif self._since:
            self._captured, self._since = Words(self._since, self._captured), []
        return self._captured

    def load(self, owner: Array, page: Array, bits: Array) -> None:
        """Put captured words into an empty set."""
        self._grow(len(owner))
        self._table.bits[self._table.claim(owner, page)] = bits
        self.words = len(owner)
        self._captured = Words([(owner, page, bits)])

    def _grow(self, more: int) -> None:
        slots = len(self._table)
        while SLOTS_PER_WORD * (self.words + more) > slots:
            slots *= 2
        if self._old is not None:
            self._move(len(self._old))
        self._old, self._table, self._moved = self._table, Table(slots), 0
        self._move(MOVED_SLOTS)

    def _move(self, slots: int) -> None:
        """Bring the words in the next slots of the old table over."""
        if self._old is None:
            return
        owner, page, bits = self._old.words(self._moved, self._moved + slots)
        if len(owner):
            self._table.bits[self._table.claim(owner, page)] |= bits
        self._moved += slots
        if self._moved >= len(self._old):
            self._old = None


def _hash(owner: Array, page: Array) -> Array:
    mixed = page.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + owner.astype(np.uint64) * np.uint64(
        0xC2B2AE3D27D4EB4F
    )
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return (mixed >> np.uint64(20)).astype(np.int64)


_ONE, _NOTHING = np.int32(1), np.uint64(0)
