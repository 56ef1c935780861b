"""What an encoded message of the tick path says about itself, read without looking at its rows."""

from typing import NamedTuple

import pyarrow as pa

from trading.market.batches import RawBatch
from trading.messages import Source


class FrameHead(NamedTuple):
    """The head of a raw frame."""

    feed: str
    venue: str
    seq: int
    rows: int
    clock_ns: int
    eof: bool


def read_head(payload: bytes) -> FrameHead | None:
    """Return the head of a raw frame, or None when it cannot be read."""
    try:
        found = RawBatch.head(payload)
        if found is not None:
            own, rows = found
            return FrameHead(own["feed"], own["venue"], own["seq"], rows, own["clock_ns"], own["eof"])
        with pa.ipc.open_stream(payload) as reader:
            meta = reader.schema.metadata or {}
            rows = reader.read_next_batch().num_rows
        text = {name: meta[name.encode()].decode() for name in FrameHead._fields if name != "rows"}
        seq, clock_ns = int(text["seq"]), int(text["clock_ns"])
    except (pa.ArrowException, StopIteration, OSError, ValueError, KeyError):
        return None
    return FrameHead(text["feed"], text["venue"], seq, rows, clock_ns, text["eof"] == "True")


def read_source(payload: bytes) -> Source | None:
    """Return the raw message that a `ticks` or `bars` message comes from, or None when it cannot be read."""
    try:
        with pa.ipc.open_stream(payload) as reader:
            return Source.parse((reader.schema.metadata or {})[b"src"].decode())
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None
