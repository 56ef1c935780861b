"""Positions and cash after each fill go to the lake."""

from functools import partial

from streaming.flow import Flow
from streaming.journal_rows import Positions
from streaming.journal_sink import JournalSink
from trading.schemas import ORDERS_JOURNAL, POSITIONS_V1

FLOW = Flow("sink-positions", ORDERS_JOURNAL.name, partial(JournalSink, table=POSITIONS_V1, rows=Positions))
