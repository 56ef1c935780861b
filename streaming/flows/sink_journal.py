"""The order journal goes to the lake: its records byte for byte, executions, and positions after each."""

from functools import partial

from streaming.flow import Flow
from streaming.journal_rows import Fills, Journal, Positions
from streaming.journal_sink import JournalSink
from streaming.several import SeveralSinks
from streaming.sink import FETCH_GAP_S
from trading.schemas import FILLS_V1, JOURNAL_V1, ORDERS_JOURNAL, POSITIONS_V1

SINKS = {
    table.name: partial(JournalSink, table=table, rows=rows)
    for table, rows in ((JOURNAL_V1, Journal), (FILLS_V1, Fills), (POSITIONS_V1, Positions))
}
FLOW = Flow(
    "sink-journal",
    ORDERS_JOURNAL.name,
    partial(SeveralSinks, sinks=SINKS),
    fetch_gap_s=FETCH_GAP_S,
    patient=True,
)
