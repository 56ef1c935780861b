"""What the simulated exchange does wrong on demand. Which frame and which row is a pure function of (seed, frame)."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from streaming.settings import FaultSettings
from trading.market.batches import ABSENT, TRADE, Array, RawBatch

FRAME_FAULTS = ("gap", "resend", "wrong_schema", "oversize", "flip")
ROW_FAULTS = ("duplicate", "late", "nan", "negative", "jump", "future", "past", "unknown_symbol")
# These change a trade; a quote lacks the id or the price that they need.
TRADE_ONLY = frozenset({"duplicate", "nan", "negative", "jump"})
LATE_NS = (3_000_000_000, 30_000_000_000)
FUTURE_NS = 3_600_000_000_000
PAST_NS = 3 * 86_400_000_000_000
JUMP_FACTOR = 100.0
OVERSIZE_BYTES = 10 << 20
UNKNOWN_SYMBOL = "NOSUCH-USD"


class SimFaults:
    """Applies the configured faults; `applied` counts what was really done, by name."""

    def __init__(self, settings: FaultSettings, seed: int) -> None:
        shares: Mapping[str, float] = settings.model_dump()
        self._frame = np.cumsum([shares[name] for name in FRAME_FAULTS])
        self._row = np.cumsum([shares[name] for name in ROW_FAULTS])
        self._seed = seed
        self.applied: Counter[str] = Counter()

    def of_frame(self, seq: int) -> str | None:
        """Return the fault of a whole frame, or None."""
        if not self._frame[-1]:
            return None
        index = int(np.searchsorted(self._frame, self._rng(seq, 1).random(), side="right"))
        return FRAME_FAULTS[index] if index < len(FRAME_FAULTS) else None

    def spoil_rows(self, batch: RawBatch) -> RawBatch:
        """Return the frame with its rows spoiled; each row has at most one fault."""
        if not self._row[-1] or not len(batch):
            return batch
        rng = self._rng(batch.seq, 2)
        index = np.searchsorted(self._row, rng.random(len(batch)), side="right")
        for number, name in enumerate(ROW_FAULTS):
            rows = np.flatnonzero(index == number)
            if name in TRADE_ONLY:
                rows = rows[batch.kind[rows] == TRADE]
            if name == "duplicate":
                rows = _copy_earlier_trade(batch, rows, index)
            elif len(rows):
                _spoil(batch, name, rows, rng)
            self.applied[name] += len(rows)
        return batch

    def spoil_frame(self, payload: bytes, name: str, seq: int) -> bytes:
        """Return the encoded frame as a broken sender would send it."""
        if name == "wrong_schema":
            return payload.replace(b"ticks.raw/1", b"ticks.raw/9")
        if name == "oversize":
            return payload + bytes(OVERSIZE_BYTES - len(payload))
        if name == "flip":
            # In the framing, where a reader can see it: Arrow has no checksum over the values.
            spoiled = bytearray(payload)
            spoiled[int(self._rng(seq, 3).integers(0, 4))] ^= 0x55
            return bytes(spoiled)
        return payload

    def _rng(self, seq: int, lane: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed, seq, lane])))


def _spoil(batch: RawBatch, name: str, rows: Array, rng: np.random.Generator) -> None:
    if name == "late":
        batch.ts_ns[rows] -= rng.integers(*LATE_NS, len(rows))
    elif name == "future":
        batch.ts_ns[rows] += FUTURE_NS
    elif name == "past":
        batch.ts_ns[rows] -= PAST_NS
    elif name == "nan":
        batch.price[rows] = np.nan
    elif name == "negative":
        batch.qty[rows] *= -1
    elif name == "jump":
        batch.price[rows] *= JUMP_FACTOR
    elif name == "unknown_symbol":
        symbols, codes = batch.symbol
        codes[rows] = len(symbols)
        batch.symbol = ((*symbols, UNKNOWN_SYMBOL), codes)


def _copy_earlier_trade(batch: RawBatch, rows: Array, index: Array) -> Array:
    """Overwrite trades with the clean trade before them in the frame; return the rows that had one."""
    clean = np.flatnonzero((batch.kind == TRADE) & (index == len(ROW_FAULTS)) & (batch.trade_id != ABSENT))
    place = np.searchsorted(clean, rows) - 1
    rows, origin = rows[place >= 0], clean[place[place >= 0]]
    batch.symbol[1][rows] = batch.symbol[1][origin]
    for column in (batch.ts_ns, batch.trade_id, batch.price, batch.qty):
        column[rows] = column[origin]
    return rows
