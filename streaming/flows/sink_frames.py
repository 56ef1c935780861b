"""Raw frames go to the lake byte for byte, so that any outage can be replayed."""

from functools import partial

from streaming.flow import Flow
from streaming.sink import FETCH_GAP_S, DeltaSink
from streaming.sink_rows import FRAME_FORM
from trading.schemas import FRAMES_V1, TICKS_RAW

FLOW = Flow(
    "sink-frames",
    TICKS_RAW.name,
    partial(DeltaSink, table=FRAMES_V1, form=FRAME_FORM),
    fetch_gap_s=FETCH_GAP_S,
    patient=True,
)
