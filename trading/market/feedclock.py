"""The clock and the frame numbers of one venue's feeds: what is new, what was lost, and which clocks not to believe."""

from trading.codec import CodecError
from trading.market.batches import RawBatch
from trading.market.policy import MarketPolicy
from trading.market.sessions import DAY_NS

MAX_FEEDS = 64
# A feed that skips more frames than this at once does not count its frames.
MAX_SEQ_STEP = 1_000_000_000
AGREEING_FRAMES = 5


class FeedClock:
    """The venue's clock never runs back, and leaps only when several frames in a row agree on where to."""

    def __init__(self, policy: MarketPolicy) -> None:
        self._policy = policy
        self.clock_ns = 0
        self.before_ns = 0
        self.watermark_ns = 0
        self.last_seq: dict[str, int] = {}
        self.gap_pending: set[str] = set()
        self.leap_run = 0
        self.leap_ns = 0

    def admit(self, frame: RawBatch) -> bool | None:
        """Take the frame's number and clock. Return None for a frame seen before, else whether frames were lost.

        Raise `CodecError` BAD_CLOCK, BAD_SEQ or TOO_MANY_FEEDS for a frame that cannot be placed.
        """
        last = self.last_seq.get(frame.feed, -1)
        if frame.feed not in self.last_seq and len(self.last_seq) >= MAX_FEEDS:
            raise CodecError("TOO_MANY_FEEDS", f"feed {frame.feed!r} is one more than the {MAX_FEEDS} of its venue")
        if frame.seq <= last:
            return None
        if frame.seq - last > MAX_SEQ_STEP:
            raise CodecError("BAD_SEQ", f"frame number {frame.seq} after {last}")
        self._advance(frame.clock_ns)
        self.last_seq[frame.feed] = frame.seq
        return frame.seq != last + 1

    def watermark(self) -> int:
        """Move the watermark to the clock and return it."""
        self.watermark_ns = self.clock_ns - self._policy.allowed_lateness_ns
        return self.watermark_ns

    def _advance(self, clock_ns: int) -> None:
        step = self._policy.max_clock_step_ns
        if self.clock_ns and abs(clock_ns - self.clock_ns) > step:
            agrees = self.leap_run and abs(clock_ns - self.leap_ns) <= DAY_NS
            self.leap_run, self.leap_ns = (self.leap_run + 1 if agrees else 1), clock_ns
            if self.leap_run <= AGREEING_FRAMES:
                raise CodecError("BAD_CLOCK", f"the feed's clock leaps from {self.clock_ns} to {clock_ns} ns")
            self.clock_ns = clock_ns
        self.leap_run = 0
        self.before_ns = self.clock_ns
        self.clock_ns = max(self.clock_ns, clock_ns)
