"""The normaliser's state as bytes: msgpack of plain values, then numpy buffers of bars and trade ids, versioned.

Equal states give equal bytes. Instruments are named in it, so a snapshot still fits after instruments were added or
removed; an instrument whose scale has changed is refused, because its amounts would mean something else.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from trading.codec import CodecError
from trading.market.barbook import INST, WIDTH, in_order
from trading.market.batches import Array
from trading.market.idset import IdSet
from trading.market.lane import Lane
from trading.market.totals import Totals
from trading.market.words import Words

VERSION = "normalizer/2"
HEAD_BYTES = 8
# Little-endian. Of each venue follow the bars and, of each session, owner, page and bits of its words.
_CELL, _WORD = np.dtype(np.int64), (np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.uint64))


class Session(msgspec.Struct, frozen=True):
    """The trade ids of one session: how many words of them there are."""

    date: int
    words: int


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
    sessions: list[Session]
    oldest: bytes
    guard: tuple[bytes, bytes, bytes]
    board: tuple[bytes, bytes, bytes, bytes]
    bars: int
    carried_to: bytes


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything; `schema` says how to read it."""

    schema: str
    totals: Totals
    lanes: dict[str, LaneState]


Part = bytes | memoryview
Taken = tuple[LaneState, Array, Sequence[tuple[int, Words]]]


def capture(lanes: Mapping[str, Lane], totals: Totals) -> Callable[[], Sequence[Part]]:
    """Take the state of the lanes; return what makes the bytes of it, in any thread, while the lanes go on.

    The bytes are in parts, because to put them together holds up all other threads for as long as it takes.
    """
    used = {venue: lane for venue, lane in sorted(lanes.items()) if lane.clock.clock_ns}
    return partial(_pack, totals, {venue: _take(lane) for venue, lane in used.items()})


def _pack(totals: Totals, taken: Mapping[str, Taken]) -> Sequence[Part]:
    lanes, columns = {}, list[Array]()
    for venue, (lane, bars, words) in taken.items():
        columns.append(in_order(bars))
        sessions = []
        for date, held in words:
            found = held.columns()
            sessions.append(Session(date, len(found[0])))
            columns += found
        lanes[venue] = msgspec.structs.replace(lane, sessions=sessions)
    head = msgspec.msgpack.encode(State(schema=VERSION, totals=totals, lanes=lanes))
    return [len(head).to_bytes(HEAD_BYTES, "little"), head, *(column.data for column in columns)]


def unpack(payload: bytes, lanes: Mapping[str, Lane]) -> Totals:
    """Put a state into fresh lanes and return the totals; raise `CodecError` CORRUPT, WRONG_SCHEMA or BAD_SNAPSHOT."""
    head = int.from_bytes(payload[:HEAD_BYTES], "little") + HEAD_BYTES
    try:
        state = msgspec.msgpack.decode(memoryview(payload)[HEAD_BYTES:head], type=State)
    except msgspec.MsgspecError as error:
        raise CodecError("CORRUPT", f"not a snapshot of a normaliser: {error}") from None
    if state.schema != VERSION:
        raise CodecError("WRONG_SCHEMA", f"snapshot {state.schema!r}, wanted {VERSION!r}")
    columns = _columns(memoryview(payload)[head:], state.lanes)
    for venue, held in state.lanes.items():
        if venue in lanes:
            try:
                _unpack_lane(held, columns[venue], lanes[venue])
            except (ValueError, IndexError) as error:
                raise CodecError("BAD_SNAPSHOT", f"venue {venue}: {error}") from None
    return state.totals


def _columns(data: memoryview, lanes: Mapping[str, LaneState]) -> dict[str, list[Array]]:
    """Return the bars and the words that follow the plain values, as columns of each venue."""
    counts = {
        venue: [(_CELL, lane.bars * WIDTH), *((kind, s.words) for s in lane.sessions for kind in _WORD)]
        for venue, lane in lanes.items()
    }
    every = [count for counted in counts.values() for count in counted]
    if any(count < 0 for _, count in every) or len(data) != sum(kind.itemsize * count for kind, count in every):
        raise CodecError("CORRUPT", "not a snapshot of a normaliser: longer or shorter than it says")
    found: dict[str, list[Array]] = {venue: [] for venue in lanes}
    for venue, counted in counts.items():
        for kind, count in counted:
            found[venue].append(np.frombuffer(data, kind, count))
            data = data[kind.itemsize * count :]
    return found


def _take(lane: Lane) -> Taken:
    clock = lane.clock
    bars, carried = lane.book.dump()
    state = LaneState(
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
        bars=len(bars),
        carried_to=carried.tobytes(),
    )
    return state, bars, [(date, held.capture()) for date, held in sorted(lane.dedup.sessions.items())]


def _unpack_lane(held: LaneState, columns: Sequence[Array], lane: Lane) -> None:
    place = _places(held, lane)
    there = np.flatnonzero(place >= 0)
    here = place[there]
    clock = lane.clock
    clock.clock_ns, clock.watermark_ns = held.clock_ns, held.watermark_ns
    clock.leap_run, clock.leap_ns = held.leap_run, held.leap_ns
    clock.last_seq, clock.gap_pending = dict(held.last_seq), set(held.gap_pending)
    cells, *words = columns
    for number, session in enumerate(held.sessions):
        owner, page, bits = words[number * len(_WORD) : (number + 1) * len(_WORD)]
        kept = place[owner >> 1] >= 0
        moved = (place[owner >> 1] * 2 + (owner & 1)).astype(np.int32)
        lane.dedup.sessions[session.date] = found = IdSet()
        found.load(moved[kept], page[kept], bits[kept])
    guard, board = lane.guard, lane.board
    by_instrument: list[tuple[Array, bytes]] = [
        *zip((guard.anchor, guard.run, guard.run_price), held.guard, strict=True),
        *zip((board.value, board.ts, board.sent_ns, board.changed), held.board, strict=True),
        (lane.oldest, held.oldest),
    ]
    for column, data in by_instrument:
        column[here] = _rows(data, column, len(place))[there]
    carried = np.zeros(len(lane.universe), np.int64)
    carried[here] = np.frombuffer(held.carried_to, np.int64)[there]
    bars = cells.reshape(-1, WIDTH).copy()
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
