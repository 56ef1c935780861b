"""Which trade ids were seen: a set of (owner, id) for each session, in bounded memory and without a call per row.

Ids are kept 64 to a word, so ids that count up cost a few bits to a few bytes each and random ones 80 bytes. An owner
is an (instrument, kind) pair as one small number.
"""

import numpy as np

from trading.market.batches import ABSENT, Array
from trading.market.idset import MAX_WORDS, IdSet

WORD_BITS = 6


class DedupWindow:
    """The ids of the sessions that are held. Rows without an id (`ABSENT`) are never duplicates."""

    def __init__(self, max_words: int = MAX_WORDS) -> None:
        self._max_words = max_words
        self.sessions: dict[int, IdSet] = {}

    def seen(self, owner: Array, session: Array, ids: Array) -> tuple[Array | None, Array | None]:
        """Record the ids; return masks of the rows that are duplicates and of those refused because a set is full.

        Rows are in order of arrival within an owner. A mask is None when no row is in it.
        """
        rows = (ids != ABSENT).nonzero()[0]
        if not len(rows):
            return None, None
        duplicate, full = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
        dates = session[rows]
        if dates.min() == dates.max():
            self._record(int(dates[0]), owner, ids, rows, duplicate, full)
        else:
            for date in np.unique(dates).tolist():
                self._record(date, owner, ids, rows[dates == date], duplicate, full)
        return (duplicate if np.count_nonzero(duplicate) else None), (full if np.count_nonzero(full) else None)

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
        starts = first.nonzero()[0]
        held = self.sessions.get(date)
        if held is None:
            held = self.sessions[date] = IdSet(max_words=self._max_words)
        before = held.merge(owner[starts], page[starts], np.bitwise_or.reduceat(bits, starts))
        if before is None:
            full[rows] = True
        elif np.count_nonzero(before):
            run = np.cumsum(first) - 1
            duplicate[rows[(before[run] & bits) != 0]] = True
