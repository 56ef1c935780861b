"""The normaliser: raw frames in, exact ticks, bars, prices and dead letters out. Pure and deterministic.

One normaliser serves one partition of `ticks.raw`. The state of each venue is apart, because its feed owns the clock.
Whatever the bytes are, `apply` does not raise: what is refused is in the dead letter with a stable code.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from trading.codec import CodecError
from trading.instruments import InstrumentTable
from trading.market.batches import BarBatch, RawBatch, TickBatch
from trading.market.emit import bar_batches, tick_batches
from trading.market.lane import Lane
from trading.market.policy import MarketPolicy
from trading.market.rejects import Code, reject_rows, sample
from trading.market.snapshot import Part, capture, unpack
from trading.market.totals import Totals
from trading.market.universe import Universe
from trading.messages import DeadLetter, Price, Reject, Source
from trading.schemas import TICKS_RAW

INT64 = range(-(2**63), 2**63)
# What a dictionary column may hold, so that no accepted frame makes a message that is too large.
MAX_TEXTS = 4_096
MAX_TEXT_CHARS = 64


@dataclass(slots=True)
class Normalized:
    """What one raw message yields: at most one message for each shard, the prices that are due, one dead letter."""

    ticks: dict[int, TickBatch] = field(default_factory=dict)
    bars: dict[int, BarBatch] = field(default_factory=dict)
    prices: list[Price] = field(default_factory=list)
    dead: DeadLetter | None = None


class Normalizer:
    """State of one raw partition."""

    def __init__(self, instruments: InstrumentTable, policy: MarketPolicy, shards: int) -> None:
        venues: dict[str, list[str]] = {}
        for instrument in instruments:
            venues.setdefault(instrument.venue, []).append(instrument.id)
        self._lanes = {
            venue: Lane(Universe([instruments[id_] for id_ in ids], shards), policy)
            for venue, ids in sorted(venues.items())
        }
        self.totals = Totals()

    def apply(self, payload: bytes, src: Source) -> Normalized:
        """Take one raw message and return what it yields."""
        try:
            frame = _decode(payload)
            lane = self._lanes.get(frame.venue)
            if lane is None:
                return self._unknown_venue(frame, src)
            lost = lane.clock.admit(frame)
        except CodecError as error:
            self.totals = self.totals.plus({error.code: 1}, frames=1, bad_frames=1)
            return Normalized(dead=self._dead(src, (Reject(code=error.code, message=str(error)),)))
        if lost is None:
            rows = len(frame)
            self.totals = self.totals.plus(frames=1, duplicate_frames=1, ticks_in=rows, duplicates=rows)
            return Normalized()
        judged = lane.apply(frame, lost)
        rejects = reject_rows(frame, judged.codes) if np.count_nonzero(judged.codes) else ()
        late, revisions = judged.late, judged.revisions
        self.totals = self.totals.plus(
            Counter(reject.code for reject in rejects) if rejects else None,
            frames=1,
            gaps=int(lost),
            ticks_in=len(frame),
            ticks_out=len(judged.rows),
            rejected=len(rejects),
            duplicates=judged.duplicates,
            late=late,
            bars=len(judged.bars) - revisions,
            revisions=revisions,
        )
        return Normalized(
            tick_batches(frame, judged, lane.universe, src),
            bar_batches(judged.bars, lane.universe, src, lane.clock.clock_ns),
            judged.prices,
            self._dead(src, rejects) if rejects else None,
        )

    def snapshot(self) -> bytes:
        """Return the whole state as bytes; equal states give equal bytes."""
        return b"".join(self.capture()())

    def capture(self) -> Callable[[], Sequence[Part]]:
        """Take the state; return what makes the parts of its `snapshot`, in any thread, while messages are applied."""
        return capture(self._lanes, self.totals)

    @classmethod
    def restore(cls, payload: bytes, instruments: InstrumentTable, policy: MarketPolicy, shards: int) -> Self:
        """Return a normaliser with the state of a snapshot; raise `CodecError` when it cannot be used."""
        found = cls(instruments, policy, shards)
        found.totals = unpack(payload, found._lanes)
        return found

    def _unknown_venue(self, frame: RawBatch, src: Source) -> Normalized:
        text = f"no instrument of venue {frame.venue!r} is known; add it to [[instruments]]"
        rejects = tuple(
            Reject(code=Code.UNKNOWN_SYMBOL.name, message=text, row=row, sample=sample(frame, row))
            for row in range(len(frame))
        )
        count = len(rejects)
        self.totals = self.totals.plus({Code.UNKNOWN_SYMBOL.name: count}, frames=1, ticks_in=count, rejected=count)
        return Normalized(dead=self._dead(src, rejects) if rejects else None)

    def _dead(self, src: Source, rejects: tuple[Reject, ...]) -> DeadLetter:
        clock = max((lane.clock.clock_ns for lane in self._lanes.values()), default=0)
        return DeadLetter(topic=TICKS_RAW.name, src=src, ts_ns=clock, rejects=rejects)


def _decode(payload: bytes) -> RawBatch:
    frame = RawBatch.decode(payload)
    for name in ("seq", "clock_ns", "recv_ns"):
        if getattr(frame, name) not in INT64:
            raise CodecError("BAD_FIELD", f"{name} does not fit 64 bits")
    for name in ("symbol", "exchange", "condition"):
        texts, _ = getattr(frame, name)
        if len(texts) > MAX_TEXTS or max(map(len, texts), default=0) > MAX_TEXT_CHARS:
            raise CodecError("BAD_FIELD", f"{name}: over {MAX_TEXTS} texts or {MAX_TEXT_CHARS} characters")
    return frame
