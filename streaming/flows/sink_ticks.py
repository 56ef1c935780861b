"""Normalised ticks go to the lake."""

from functools import partial

from streaming.flow import Flow
from streaming.sink import FETCH_GAP_S, DeltaSink
from streaming.sink_rows import TICK_FORM
from trading.schemas import TICKS, TICKS_V1

FLOW = Flow(
    "sink-ticks",
    TICKS.name,
    partial(DeltaSink, table=TICKS_V1, form=TICK_FORM),
    fetch_gap_s=FETCH_GAP_S,
    patient=True,
)
