"""Closed bars and their revisions go to the lake."""

from functools import partial

from streaming.flow import Flow
from streaming.sink import FETCH_GAP_S, DeltaSink
from streaming.sink_rows import BAR_FORM
from trading.schemas import BARS, BARS_V1

FLOW = Flow(
    "sink-bars",
    BARS.name,
    partial(DeltaSink, table=BARS_V1, form=BAR_FORM),
    fetch_gap_s=FETCH_GAP_S,
    patient=True,
)
