"""Accepted rows and closed bars to the messages of each shard."""

import numpy as np

from trading.market import barbook as columns
from trading.market.batches import Array, BarBatch, Dictionary, RawBatch, TickBatch
from trading.market.intervals import SECONDS
from trading.market.lane import Judged
from trading.market.universe import Universe
from trading.messages import Source

# Up to here every message carries the whole list of its venue's ids; beyond, only those in it.
SHARED_DICTIONARY = 64
_SECONDS = np.array(SECONDS, np.int32)


def tick_batches(frame: RawBatch, judged: Judged, universe: Universe, src: Source) -> dict[int, TickBatch]:
    """Return one batch for each shard that has accepted rows, in raw row order."""
    checked, session, flags = judged.checked, judged.session, judged.flags
    if not len(judged.rows) or checked is None or session is None or flags is None:
        return {}
    batches = {}
    for shard, rows in _by_shard(universe, checked.inst, judged.rows):
        batches[shard] = TickBatch(
            kind=frame.kind[rows],
            instrument=_dictionary(universe, checked.inst[rows]),
            session=session[rows],
            ts_ns=frame.ts_ns[rows],
            trade_id=frame.trade_id[rows],
            price=checked.price[rows],
            qty=checked.qty[rows],
            bid=checked.bid[rows],
            bid_qty=checked.bid_qty[rows],
            ask=checked.ask[rows],
            ask_qty=checked.ask_qty[rows],
            exchange=(frame.exchange[0], frame.exchange[1][rows]),
            condition=(frame.condition[0], frame.condition[1][rows]),
            flags=flags[rows],
            src_row=rows.astype(np.int32),
            src=src,
            feed=frame.feed,
            clock_ns=frame.clock_ns,
            recv_ns=frame.recv_ns,
        )
    return batches


def bar_batches(matrix: Array, universe: Universe, src: Source, clock_ns: int) -> dict[int, BarBatch]:
    """Return one batch for each shard that has bars, sorted by (instrument, interval, start)."""
    if not len(matrix):
        return {}
    inst = matrix[:, columns.INST]
    batches = {}
    for shard, rows in _by_shard(universe, inst, np.arange(len(matrix))):
        part = matrix[rows]
        batches[shard] = BarBatch(
            instrument=_dictionary(universe, part[:, columns.INST]),
            interval_s=_SECONDS[part[:, columns.IV]],
            session=part[:, columns.SESSION].astype(np.int32),
            start_ns=part[:, columns.START].copy(),
            open=part[:, columns.OPEN].copy(),
            high=part[:, columns.HIGH].copy(),
            low=part[:, columns.LOW].copy(),
            close=part[:, columns.CLOSE].copy(),
            volume=part[:, columns.VOLUME].copy(),
            trades=part[:, columns.TRADES].copy(),
            flags=part[:, columns.FLAGS].astype(np.uint16),
            revision=part[:, columns.REVISION].astype(np.int32),
            src=src,
            clock_ns=clock_ns,
        )
    return batches


def _by_shard(universe: Universe, inst: Array, rows: Array) -> list[tuple[int, Array]]:
    if len(universe.shards_used) == 1:
        return [(universe.shards_used[0], rows)]
    shard = universe.shard[inst[rows]]
    parts = ((number, rows[shard == number]) for number in universe.shards_used)
    return [(number, part) for number, part in parts if len(part)]


def _dictionary(universe: Universe, inst: Array) -> Dictionary:
    if len(universe) <= SHARED_DICTIONARY:
        return universe.ids, inst.astype(np.int16)
    used, codes = np.unique(inst, return_inverse=True)
    return [universe.ids[row] for row in used.tolist()], codes.astype(np.int16)
