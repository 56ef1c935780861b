"""The open and the recent bars of one venue: folds ticks, closes bars by watermark, revises those that change later.

Only one-minute bars take ticks. The bars above are made from their closed one-minute bars each time they are sent, so
a late tick makes a new revision of every bar that was sent and holds it, and never changes one silently. The state is
one integer matrix, one row for each bar.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from trading.market.batches import MAX_BAR_ROWS, Array
from trading.market.carry import CARRY_LIMIT_NS, carried_closes, open_minutes
from trading.market.flags import NO_TRADE
from trading.market.fold import Trades, fold
from trading.market.intervals import LENGTHS_NS, MINUTE_NS, NAMES, start_of
from trading.market.sessions import Calendar

# Columns of the matrix.
INST, IV, START, END, SESSION, OPEN_TS, OPEN_ID, OPEN, HIGH, LOW, CLOSE_TS, CLOSE_ID, CLOSE, VOLUME, TRADES, FLAGS = (
    range(16)
)
REVISION, DIRTY = 16, 17
WIDTH: Final = 18
NEVER: Final = 2**63 - 1
# Bars in one message; what is due beyond it goes out with the next frame.
MAX_BARS_OUT: Final = MAX_BAR_ROWS
FIRST_ROWS: Final = 256
_SESSIONS: Final = 1 << 20


class BarBook:
    """Bars of the instruments that are numbered as in `calendars`."""

    def __init__(self, calendars: Sequence[Calendar], *, carry: bool = False) -> None:
        self._calendars = calendars
        self._carry = carry
        self._carried_to = np.zeros(len(calendars), np.int64)
        self._next_due = NEVER
        self._load(np.zeros((0, WIDTH), np.int64))

    def add(self, trades: Trades) -> None:
        """Fold trades into their one-minute bars and mark what has to be sent."""
        if not len(trades.ts):
            return
        part = fold(trades)
        keys = zip(part.inst.tolist(), part.start.tolist(), part.session.tolist(), strict=True)
        rows = np.array([self._row(inst, start, session) for inst, start, session in keys], np.int64)
        old = self._cells[rows]
        empty = old[:, TRADES] == 0
        opens = empty | _before(part.first_ts, part.first_id, old[:, OPEN_TS], old[:, OPEN_ID])
        closes = empty | ~_before(part.last_ts, part.last_id, old[:, CLOSE_TS], old[:, CLOSE_ID])
        for columns, values, mask in (
            ((OPEN_TS, OPEN_ID, OPEN), (part.first_ts, part.first_id, part.open), opens),
            ((CLOSE_TS, CLOSE_ID, CLOSE), (part.last_ts, part.last_id, part.close), closes),
        ):
            for column, value in zip(columns, values, strict=True):
                old[:, column] = np.where(mask, value, old[:, column])
        old[:, HIGH] = np.where(empty, part.high, np.maximum(old[:, HIGH], part.high))
        old[:, LOW] = np.where(empty, part.low, np.minimum(old[:, LOW], part.low))
        old[:, VOLUME] = add_saturated(old[:, VOLUME], part.volume)
        old[:, TRADES] += part.trades
        old[:, FLAGS] = (old[:, FLAGS] & ~NO_TRADE) | part.flags
        self._cells[rows] = old
        self._touch(rows)
        if self._carry:
            for inst, start in zip(part.inst.tolist(), part.start.tolist(), strict=True):
                self._carry_from(inst, start)

    def close(self, watermark_ns: int, *, eof: bool = False) -> Array:
        """Return the matrix of bars to send, sorted by (instrument, interval, start): all due ones, or all at eof."""
        if self._carry:
            self._fill(watermark_ns)
        if not self._open or (watermark_ns < self._next_due and not eof):
            return self._cells[:0]
        rows = np.sort(np.fromiter(self._open, np.int64, len(self._open)))
        due = rows if eof else rows[self._cells[rows, END] <= watermark_ns]
        if not len(due):
            return self._cells[:0]
        cells = self._cells
        due = due[np.lexsort((cells[due, START], cells[due, IV], cells[due, INST]))][:MAX_BARS_OUT]
        for row in due[cells[due, IV] > 0].tolist():
            self._roll_up(row)
        out = cells[due].copy()
        cells[due, REVISION] += 1
        cells[due, DIRTY] = 0
        self._open.difference_update(due.tolist())
        self._next_due = min((int(end) for end in cells[list(self._open), END]), default=NEVER)
        return out

    def prune(self, oldest_sessions: Array) -> None:
        """Forget the bars of sessions before each instrument's oldest one, unless some still have to be sent."""
        cells = self._cells[: self._rows]
        session_of = cells[:, INST] * _SESSIONS + cells[:, SESSION]
        unsent = session_of[cells[:, DIRTY] != 0]
        keep = (cells[:, SESSION] >= oldest_sessions[cells[:, INST]]) | np.isin(session_of, unsent)
        if not keep.all():
            self._load(cells[keep])

    def dump(self) -> tuple[Array, Array]:
        """Return a copy of the state: the matrix, for `in_order`, and the carry positions."""
        return self._cells[: self._rows].copy(), self._carried_to.copy()

    def load(self, cells: Array, carried_to: Array) -> None:
        """Take the state of a `dump`."""
        self._load(cells)
        self._carried_to = carried_to.copy()

    def _load(self, cells: Array) -> None:
        self._rows = len(cells)
        self._cells = np.zeros((max(FIRST_ROWS, 2 * len(cells)), WIDTH), np.int64)
        self._cells[: len(cells)] = cells
        heads = cells[:, : SESSION + 1].tolist()
        self._index = {(inst, iv, start): row for row, (inst, iv, start, _, _) in enumerate(heads)}
        self._parents: dict[int, list[int]] = {}
        self._children: dict[int, list[int]] = {}
        for row, (inst, iv, start, _, session) in enumerate(heads):
            if iv == 0:
                self._link(row, inst, start, session)
        self._open = set(np.flatnonzero(self._cells[: self._rows, DIRTY]).tolist())
        self._next_due = min((int(end) for end in self._cells[list(self._open), END]), default=NEVER)

    def _row(self, inst: int, start: int, session: int) -> int:
        row = self._index.get((inst, 0, start))
        if row is None:
            row = self._new(inst, 0, start, session)
            self._link(row, inst, start, session)
        return row

    def _link(self, row: int, inst: int, minute: int, session: int) -> None:
        parents = []
        for iv in range(1, len(NAMES)):
            start = start_of(minute, session, iv, self._calendars[inst])
            parent = self._index.get((inst, iv, start))
            if parent is None:
                parent = self._new(inst, iv, start, session)
            self._children.setdefault(parent, []).append(row)
            parents.append(parent)
        self._parents[row] = parents

    def _new(self, inst: int, iv: int, start: int, session: int) -> int:
        if self._rows == len(self._cells):
            self._cells = np.concatenate((self._cells, np.zeros_like(self._cells)))
        row = self._rows
        self._rows += 1
        calendar = self._calendars[inst]
        end = calendar.midnight_ns(session + 1) if iv == len(NAMES) - 1 else start + LENGTHS_NS[iv]
        self._cells[row, : SESSION + 1] = inst, iv, start, end, session
        self._index[inst, iv, start] = row
        return row

    def _touch(self, rows: Array) -> None:
        """Mark bars and the bars above them as changed since they were last sent."""
        fresh = rows[self._cells[rows, DIRTY] == 0].tolist()
        for row in fresh:
            for each in (row, *self._parents[row]):
                if each not in self._open:
                    self._open.add(each)
                    self._cells[each, DIRTY] = 1
                    self._next_due = min(self._next_due, int(self._cells[each, END]))

    def _roll_up(self, row: int) -> None:
        cells = self._cells
        children = np.array(self._children[row], np.int64)
        part = cells[children[np.argsort(cells[children, START])]]
        traded = part[part[:, TRADES] > 0]
        part = traded if len(traded) else part
        bar = cells[row]
        bar[[OPEN_TS, OPEN_ID, OPEN]] = part[0, [OPEN_TS, OPEN_ID, OPEN]]
        bar[[CLOSE_TS, CLOSE_ID, CLOSE]] = part[-1, [CLOSE_TS, CLOSE_ID, CLOSE]]
        bar[HIGH], bar[LOW] = part[:, HIGH].max(), part[:, LOW].min()
        total = float(part[:, VOLUME].sum(dtype=np.float64))
        bar[VOLUME] = part[:, VOLUME].sum() if total < NEVER else NEVER
        bar[TRADES] = part[:, TRADES].sum()
        bar[FLAGS] = np.bitwise_or.reduce(part[:, FLAGS])

    def _fill(self, watermark_ns: int) -> None:
        """Make a bar of the last close for each past minute of a session that had no trade."""
        upto = watermark_ns - watermark_ns % MINUTE_NS
        for inst in np.flatnonzero((self._carried_to > 0) & (self._carried_to < upto)).tolist():
            since = max(int(self._carried_to[inst]), upto - CARRY_LIMIT_NS)
            self._carried_to[inst] = upto
            starts, closes, _ = self._minutes(inst)
            minutes = open_minutes(self._calendars[inst], since, upto)
            self._carry_bars(inst, *carried_closes(minutes, starts, closes))

    def _carry_from(self, inst: int, start: int) -> None:
        """Carry the close of a late minute on to the minutes without trades that follow it."""
        if not self._carried_to[inst]:
            self._carried_to[inst] = start + MINUTE_NS
        if start >= self._carried_to[inst]:
            return
        starts, closes, trades = self._minutes(inst)
        starts, closes = starts[trades > 0], closes[trades > 0]
        at = int(np.searchsorted(starts, start))
        upto = min([int(self._carried_to[inst]), *starts[at + 1 : at + 2].tolist()])
        minutes = open_minutes(self._calendars[inst], start + MINUTE_NS, upto)
        self._carry_bars(inst, minutes, np.full(len(minutes), closes[at]))

    def _carry_bars(self, inst: int, minutes: Array, closes: Array) -> None:
        calendar = self._calendars[inst]
        changed = []
        for minute, price in zip(minutes.tolist(), closes.tolist(), strict=True):
            row = self._row(inst, minute, calendar.local_date(minute))
            bar = self._cells[row]
            if bar[FLAGS] != NO_TRADE or bar[CLOSE] != price:
                bar[[OPEN, HIGH, LOW, CLOSE]] = price
                bar[[OPEN_TS, CLOSE_TS]] = minute
                bar[FLAGS] = NO_TRADE
                changed.append(row)
        if changed:
            self._touch(np.array(changed, np.int64))

    def _minutes(self, inst: int) -> tuple[Array, Array, Array]:
        cells = self._cells[: self._rows]
        mine = cells[(cells[:, INST] == inst) & (cells[:, IV] == 0)]
        mine = mine[np.argsort(mine[:, START])]
        return mine[:, START], mine[:, CLOSE], mine[:, TRADES]


def in_order(cells: Array) -> Array:
    """Return a matrix in order of (instrument, interval, start)."""
    return np.asarray(cells[np.lexsort((cells[:, START], cells[:, IV], cells[:, INST]))])


def add_saturated(left: Array, right: Array) -> Array:
    """Return the sum of two columns of amounts, held at the largest int64 instead of wrapping."""
    total = left + right
    return np.asarray(np.where(total < left, NEVER, total))


def _before(ts: Array, ids: Array, other_ts: Array, other_ids: Array) -> Array:
    return np.asarray((ts < other_ts) | ((ts == other_ts) & (ids < other_ids)))
