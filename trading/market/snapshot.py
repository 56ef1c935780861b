"""The normaliser's state as bytes: msgpack of plain values and little-endian numpy buffers, versioned.

Equal states give equal bytes. Instruments are named in it, so a snapshot still fits after instruments were added or
removed; an instrument whose scale has changed is refused, because its amounts would mean something else.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import numpy as np

from trading.codec import CodecError
from trading.market.barbook import INST, WIDTH
from trading.market.batches import Array
from trading.market.idset import Columns, IdSet, in_order
from trading.market.lane import Lane
from trading.market.totals import Totals

VERSION = "normalizer/1"


class Words(msgspec.Struct, frozen=True):
    """The trade ids of one session."""

    date: int
    owner: bytes
    page: bytes
    bits: bytes


class LaneState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one venue. Columns by instrument are in order of `ids`."""

    ids: list[str]
    scales: list[tuple[int, int]]
    clock_ns: int
    watermark_ns: int
    leap_run: int
    leap_ns: int
    last_seq: list[tuple[str, int]]
    gap_pending: list[str]
    sessions: list[Words]
    oldest: bytes
    guard: tuple[bytes, bytes, bytes]
    board: tuple[bytes, bytes, bytes, bytes]
    bars: bytes
    carried_to: bytes


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything; `schema` says how to read it."""

    schema: str
    totals: Totals
    lanes: dict[str, LaneState]


def capture(lanes: Mapping[str, Lane], totals: Totals) -> Callable[[], bytes]:
    """Copy the state of the lanes; return what makes the bytes of it, in any thread, while the lanes go on."""
    used = {venue: lane for venue, lane in sorted(lanes.items()) if lane.clock.clock_ns}
    words = {
        venue: [(date, held.copy()) for date, held in sorted(lane.dedup.sessions.items())]
        for venue, lane in used.items()
    }
    return partial(_pack, totals, {venue: _pack_lane(lane) for venue, lane in used.items()}, words)


def _pack(totals: Totals, lanes: dict[str, LaneState], words: dict[str, list[tuple[int, Columns]]]) -> bytes:
    """Put the ids in order, which takes longer than all the rest."""
    whole = {
        venue: msgspec.structs.replace(
            lane, sessions=[Words(date, *(c.tobytes() for c in in_order(*columns))) for date, columns in words[venue]]
        )
        for venue, lane in lanes.items()
    }
    return msgspec.msgpack.encode(State(schema=VERSION, totals=totals, lanes=whole))


def unpack(payload: bytes, lanes: Mapping[str, Lane]) -> Totals:
    """Put a state into fresh lanes and return the totals; raise `CodecError` CORRUPT, WRONG_SCHEMA or BAD_SNAPSHOT."""
    try:
        state = msgspec.msgpack.decode(payload, type=State)
    except msgspec.MsgspecError as error:
        raise CodecError("CORRUPT", f"not a snapshot of a normaliser: {error}") from None
    if state.schema != VERSION:
        raise CodecError("WRONG_SCHEMA", f"snapshot {state.schema!r}, wanted {VERSION!r}")
    for venue, held in state.lanes.items():
        if venue in lanes:
            try:
                _unpack_lane(held, lanes[venue])
            except (ValueError, IndexError) as error:
                raise CodecError("BAD_SNAPSHOT", f"venue {venue}: {error}") from None
    return state.totals


def _pack_lane(lane: Lane) -> LaneState:
    clock = lane.clock
    bars, carried = lane.book.dump()
    return LaneState(
        ids=lane.universe.ids,
        scales=_scales(lane),
        clock_ns=clock.clock_ns,
        watermark_ns=clock.watermark_ns,
        leap_run=clock.leap_run,
        leap_ns=clock.leap_ns,
        last_seq=sorted(clock.last_seq.items()),
        gap_pending=sorted(clock.gap_pending),
        sessions=[],
        oldest=lane.oldest.tobytes(),
        guard=(lane.guard.anchor.tobytes(), lane.guard.run.tobytes(), lane.guard.run_price.tobytes()),
        board=(
            lane.board.value.tobytes(),
            lane.board.ts.tobytes(),
            lane.board.sent_ns.tobytes(),
            lane.board.changed.tobytes(),
        ),
        bars=bars.tobytes(),
        carried_to=carried.tobytes(),
    )


def _unpack_lane(held: LaneState, lane: Lane) -> None:
    place = _places(held, lane)
    there = np.flatnonzero(place >= 0)
    here = place[there]
    clock = lane.clock
    clock.clock_ns, clock.watermark_ns = held.clock_ns, held.watermark_ns
    clock.leap_run, clock.leap_ns = held.leap_run, held.leap_ns
    clock.last_seq, clock.gap_pending = dict(held.last_seq), set(held.gap_pending)
    for words in held.sessions:
        owner, page = np.frombuffer(words.owner, np.int32), np.frombuffer(words.page, np.int64)
        kept = place[owner >> 1] >= 0
        moved = (place[owner >> 1] * 2 + (owner & 1)).astype(np.int32)
        lane.dedup.sessions[words.date] = found = IdSet()
        found.load(moved[kept], page[kept], np.frombuffer(words.bits, np.uint64)[kept])
    guard, board = lane.guard, lane.board
    columns: list[tuple[Array, bytes]] = [
        *zip((guard.anchor, guard.run, guard.run_price), held.guard, strict=True),
        *zip((board.value, board.ts, board.sent_ns, board.changed), held.board, strict=True),
        (lane.oldest, held.oldest),
    ]
    for column, data in columns:
        column[here] = _rows(data, column, len(place))[there]
    carried = np.zeros(len(lane.universe), np.int64)
    carried[here] = np.frombuffer(held.carried_to, np.int64)[there]
    bars = np.frombuffer(held.bars, np.int64).reshape(-1, WIDTH).copy()
    bars[:, INST] = place[bars[:, INST]]
    lane.book.load(bars[bars[:, INST] >= 0], carried)


def _rows(data: bytes, like: Array, rows: int) -> Array:
    return np.frombuffer(data, like.dtype).reshape(rows, *like.shape[1:])


def _places(held: LaneState, lane: Lane) -> Any:
    """Return the row number now of each instrument of the snapshot, -1 for those that are gone."""
    now = {id_: row for row, id_ in enumerate(lane.universe.ids)}
    scales = _scales(lane)
    for id_, scale in zip(held.ids, held.scales, strict=True):
        if id_ in now and scales[now[id_]] != scale:
            raise ValueError(f"the scale of {id_} has changed")
    return np.array([now.get(id_, -1) for id_ in held.ids], np.int64)


def _scales(lane: Lane) -> list[tuple[int, int]]:
    return [(instrument.price_scale, instrument.qty_scale) for instrument in lane.universe.instruments]
