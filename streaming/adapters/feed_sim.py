"""The simulated exchange: seeded trades and quotes of the SIM venue, with bursts, and faults on demand.

Paced by wall clock, the event times are the planned wall times. With a `rate` of 0 it runs in virtual time as fast as
the reader takes it, and frame n is the same bytes in every run.
"""

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np

from streaming.adapters.feed import Closing
from streaming.adapters.feed_sim_faults import SimFaults
from streaming.adapters.feed_sim_market import SimMarket
from streaming.settings import FeedSettings
from trading.ids import digest
from trading.instruments import CATALOGUE, InstrumentTable
from trading.market.batches import RawBatch, empty_frame
from trading.messages import Reject

VENUE = "SIM"
SECOND_NS = 1_000_000_000
# 2026-01-05T00:00:00Z, a Monday.
VIRTUAL_START_NS = 1_767_571_200 * SECOND_NS
VIRTUAL_RATE = 2_000.0
# A burst takes the last twentieth of each ten seconds.
BURST_PERIOD_S = 10.0
BURST_SHARE = 0.05


class Schedule:
    """Which ticks fall into frame n: a fixed frame length, and a tick count that bursts without changing the mean."""

    def __init__(self, rate: float, linger_s: float, batch_rows: int, burst: float) -> None:
        peak = rate * burst
        # One row of room, because a frame holds up to one tick more than its mean.
        self.frame_s = min(1.0, max(1.0 / peak, min(linger_s, max(1, batch_rows - 1) / peak)))
        self._rate, self._burst, self._batch_rows = rate, burst, batch_rows

    def ticks_before(self, seq: int) -> int:
        """Return how many ticks are planned before frame `seq`."""
        periods, part = divmod(seq * self.frame_s / BURST_PERIOD_S, 1.0)
        calm = (1 - BURST_SHARE * self._burst) / (1 - BURST_SHARE)
        quiet = 1 - BURST_SHARE
        warped = part * calm if part <= quiet else quiet * calm + (part - quiet) * self._burst
        return int((periods + warped) * BURST_PERIOD_S * self._rate + 1e-6)

    def rows(self, seq: int) -> int:
        """Return the number of rows of frame `seq`."""
        return min(self._batch_rows, self.ticks_before(seq + 1) - self.ticks_before(seq))


class SimFeed:
    """A feed of the simulated exchange."""

    def __init__(
        self,
        settings: FeedSettings,
        *,
        instruments: InstrumentTable = CATALOGUE,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._paced = settings.rate > 0
        self._limit = settings.ticks
        rate = settings.rate or VIRTUAL_RATE
        linger_s = settings.linger_ms / 1e3 if self._paced else math.inf
        self.schedule = Schedule(rate, linger_s, settings.batch_rows, settings.burst)
        self._market = SimMarket([i for i in instruments if i.venue == VENUE], settings.seed)
        self.faults = SimFaults(settings.faults, settings.seed)
        self._now_ns = now_ns
        self._sent = 0
        self._closing = Closing()
        self.venue = VENUE
        self.name = "sim" if self._paced and not self._limit else f"sim-{digest(repr(settings))[:8]}"

    def frame(self, seq: int, start_ns: int) -> RawBatch:
        """Return frame `seq` of an exchange that opened at `start_ns`, rows spoiled as configured."""
        rows = self.schedule.rows(seq)
        if self._limit:
            rows = max(0, min(rows, self._limit - self.schedule.ticks_before(seq)))
        span_s = (seq * self.schedule.frame_s, (seq + 1) * self.schedule.frame_s)
        begin, end = (start_ns + round(second * SECOND_NS) for second in span_s)
        ts_ns = begin + ((np.arange(rows) + 0.5) / max(rows, 1) * (end - begin)).astype(np.int64)
        batch = self._market.batch(seq, ts_ns, span_s, self.name)
        batch.clock_ns = batch.recv_ns = end
        return self.faults.spoil_rows(batch)

    async def frames(self, start_seq: int) -> AsyncIterator[bytes]:
        """Yield frames from `start_seq` on, each when its time has come."""
        frame_ns = round(self.schedule.frame_s * SECOND_NS)
        start_ns = self._now_ns() - start_seq * frame_ns if self._paced else VIRTUAL_START_NS
        seq = start_seq
        while not (self._limit and self.schedule.ticks_before(seq) >= self._limit):
            end_ns = start_ns + round((seq + 1) * self.schedule.frame_s * SECOND_NS)
            # Halfway: the frame before is on its way first, and this one is ready when its time has come.
            if self._paced and await self._closing.wait_for((end_ns - frame_ns // 2 - self._now_ns()) / SECOND_NS):
                return
            batch = self.frame(seq, start_ns)
            wait_s = (batch.clock_ns - self._now_ns()) / SECOND_NS if self._paced else 0.0
            if await self._closing.wait_for(wait_s):
                return
            if self._paced:
                batch.recv_ns = self._now_ns()
            fault = self.faults.of_frame(seq)
            if fault:
                self.faults.applied[fault] += 1
            if fault != "gap":
                payload = batch.encode()
                payload = self.faults.spoil_frame(payload, fault, seq) if fault else payload
                for _ in range(2 if fault == "resend" else 1):
                    yield payload
            seq += 1
            self._sent = self.schedule.ticks_before(seq)
        clock_ns = start_ns + seq * frame_ns
        yield empty_frame(feed=self.name, venue=self.venue, seq=seq, clock_ns=clock_ns, eof=True).encode()

    def take_rejects(self) -> Sequence[Reject]:
        """Return nothing: every simulated input becomes a row."""
        return ()

    def progress(self) -> float | None:
        """Return the share of a limited run, else None."""
        return min(1.0, self._sent / self._limit) if self._limit else None

    async def close(self) -> None:
        """End the frames."""
        self._closing.set()
