"""One venue's part of the normaliser: from a decoded frame to accepted ticks, bars and prices. Whole columns only.

Order of the judgements on a row: what it says by itself, its time against the feed's clock, its trade id, its price.
"""

from dataclasses import dataclass, field

import numpy as np

from trading.market.barbook import REVISION, BarBook
from trading.market.batches import ABSENT, MAX_ROWS, TRADE, Array, RawBatch
from trading.market.conflate import PriceBoard
from trading.market.dedup import DedupWindow
from trading.market.feedclock import FeedClock
from trading.market.flags import CROSS, GAP, LATE, STALE, SUSPICIOUS
from trading.market.fold import Trades
from trading.market.intervals import MINUTE_NS
from trading.market.jumps import JumpGuard
from trading.market.policy import MarketPolicy
from trading.market.rejects import Code
from trading.market.universe import Universe
from trading.market.validate import Checked, check_rows
from trading.messages import Price

_ABSENT_COLUMN = np.full(MAX_ROWS, ABSENT, np.int64)
_ABSENT_COLUMN.flags.writeable = False


@dataclass(slots=True)
class Judged:
    """What became of one frame. `rows` are the accepted rows in raw order; bars are a matrix of `BarBook`."""

    codes: Array
    rows: Array
    duplicates: int
    checked: Checked | None = None
    session: Array | None = None
    flags: Array | None = None
    bars: Array = field(default_factory=lambda: np.empty((0, 0), np.int64))
    prices: list[Price] = field(default_factory=list)

    @property
    def late(self) -> int:
        """Return how many accepted rows came after their one-minute bar had closed."""
        return 0 if self.flags is None else int(np.count_nonzero(self.flags[self.rows] & LATE))

    @property
    def revisions(self) -> int:
        """Return how many of the bars had been sent before."""
        return int(np.count_nonzero(self.bars[:, REVISION])) if len(self.bars) else 0


class Lane:
    """State of one venue: clock, ids, anchors, newest prices and bars."""

    def __init__(self, universe: Universe, policy: MarketPolicy) -> None:
        self.universe = universe
        self._policy = policy
        self.clock = FeedClock(policy)
        self.dedup = DedupWindow()
        self.guard = JumpGuard(len(universe), policy.jump_ratio)
        self.board = PriceBoard(len(universe))
        calendars = [universe.calendars[number] for number in universe.calendar_of]
        self.book = BarBook(calendars, carry=policy.no_trade == "carry")
        self.oldest = np.zeros(len(universe), np.int32)
        self._window_ns = range(0)

    def apply(self, frame: RawBatch, lost: bool) -> Judged:
        """Judge an admitted frame and fold what is accepted. `lost` tells that frames before it are missing."""
        moved = self._move_window()
        if lost:
            self.clock.gap_pending.add(frame.feed)
        judged = self._rows(frame) if len(frame) else Judged(np.zeros(0, np.uint8), np.zeros(0, np.int64), 0)
        watermark = self.clock.watermark()
        judged.bars = self.book.close(self.clock.clock_ns if frame.eof else watermark, eof=frame.eof)
        if moved:
            self.book.prune(self.oldest)
        every = 0 if frame.eof else self._policy.conflate_ns
        judged.prices = self.board.due(self.universe.instruments, self.clock.clock_ns, every)
        return judged

    def _rows(self, frame: RawBatch) -> Judged:
        checked = check_rows(frame, self.universe, _ABSENT_COLUMN)
        session = self.universe.sessions(checked.inst, frame.ts_ns)
        codes = checked.codes
        self._check_time(frame.ts_ns, session, checked.inst, codes)
        order, starts = _grouped(checked.inst, (codes == 0).nonzero()[0] if np.count_nonzero(codes) else None)
        order, starts, duplicates = self._drop_seen(frame, checked, session, order, starts)
        if len(order):
            order, starts = self._drop_jumps(checked, order, starts)
        rows = np.sort(order) if len(order) != len(codes) else np.arange(len(codes))
        judged = Judged(codes, rows, duplicates, checked, session)
        if len(order):
            judged.flags = self._flags(frame, checked)
            self._fold(frame, judged, order)
        return judged

    def _move_window(self) -> bool:
        clock = self.clock.clock_ns
        if clock in self._window_ns:
            return False
        self._window_ns = self.universe.same_dates(clock)
        oldest = self.universe.oldest_sessions(clock)
        if (oldest == self.oldest).all():
            return False
        self.oldest = oldest
        self.dedup.prune(int(oldest.min()))
        return True

    def _check_time(self, ts: Array, session: Array, inst: Array, codes: Array) -> None:
        limit = self.clock.clock_ns + self._policy.future_tolerance_ns
        if ts.max() > limit:
            codes[(ts > limit) & (codes == 0)] = Code.FROM_THE_FUTURE
        if session.min() < self.oldest.max():
            codes[(session < self.oldest[inst]) & (codes == 0)] = Code.FROM_THE_PAST

    def _drop_seen(
        self, frame: RawBatch, checked: Checked, session: Array, order: Array, starts: Array
    ) -> tuple[Array, Array, int]:
        if not len(order):
            return order, starts, 0
        owner = checked.inst[order] * 2 + frame.kind[order]
        duplicate, full = self.dedup.seen(owner, session[order], frame.trade_id[order])
        if duplicate is None and full is None:
            return order, starts, 0
        drop = np.zeros(len(order), bool)
        if full is not None:
            checked.codes[order[full]] = Code.TOO_MANY_IDS
            drop |= full
        if duplicate is not None:
            drop |= duplicate
        order = order[~drop]
        return (
            order,
            _starts(checked.inst[order]),
            int(np.count_nonzero(drop)) - int(0 if full is None else np.count_nonzero(full)),
        )

    def _drop_jumps(self, checked: Checked, order: Array, starts: Array) -> tuple[Array, Array]:
        bid, ask = (checked.bid[order], checked.ask[order]) if checked.quotes else (None, None)
        refused = self.guard.check(checked.inst[order], starts, checked.price[order], bid, ask)
        if refused is None:
            return order, starts
        checked.codes[order[refused]] = Code.PRICE_JUMP
        order = order[~refused]
        return order, _starts(checked.inst[order])

    def _flags(self, frame: RawBatch, checked: Checked) -> Array:
        flags = np.zeros(len(frame), np.uint16)
        ts = frame.ts_ns
        if frame.feed in self.clock.gap_pending:
            self.clock.gap_pending.discard(frame.feed)
            flags |= GAP
        if checked.quotes:
            flags[(checked.bid > checked.ask) & (checked.ask != ABSENT)] |= CROSS
        oldest, stale = int(ts.min()), self.clock.before_ns - self._policy.stale_after_ns
        if oldest < stale:
            flags[ts < stale] |= STALE
        if np.count_nonzero(frame.suspicious):
            flags[frame.suspicious != 0] |= SUSPICIOUS
        closed = self.clock.watermark_ns - self.clock.watermark_ns % MINUTE_NS
        if oldest < closed:
            flags[ts < closed] |= LATE
        return flags

    def _fold(self, frame: RawBatch, judged: Judged, order: Array) -> None:
        checked, session, flags = judged.checked, judged.session, judged.flags
        assert checked is not None
        assert session is not None
        assert flags is not None
        columns = [checked.inst, frame.ts_ns, checked.price]
        if checked.quotes:
            columns += (checked.bid, checked.ask)
        if len(judged.rows) != len(frame):
            columns = [column[judged.rows] for column in columns]
        self.board.update(*columns[:3], *(columns[3:] or (None, None)))
        trades = order[frame.kind[order] == TRADE] if checked.quotes else order
        if len(trades):
            folded = Trades(
                checked.inst[trades],
                session[trades],
                frame.ts_ns[trades],
                frame.trade_id[trades],
                checked.price[trades],
                checked.qty[trades],
                flags[trades],
            )
            self.book.add(folded)


def _grouped(inst: Array, rows: Array | None) -> tuple[Array, Array]:
    """Return the row numbers in order of (instrument, arrival) and where each instrument starts."""
    chosen = (inst if rows is None else inst[rows]).astype(np.int16)
    order = np.argsort(chosen, kind="stable")
    return (order if rows is None else rows[order]), _starts(chosen[order])


def _starts(sorted_inst: Array) -> Array:
    if not len(sorted_inst):
        return np.zeros(0, np.int64)
    return np.concatenate((_ZERO, (sorted_inst[1:] != sorted_inst[:-1]).nonzero()[0] + 1))


_ZERO = np.zeros(1, np.int64)
